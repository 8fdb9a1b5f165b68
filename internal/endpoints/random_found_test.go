package endpoints_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"viaduct/internal/membership"
)

// The tests of the random test: what it is to find is planted, and it has to be found.

// TestDroppedWritesAreFound has the server say that it did what it did not.
func TestDroppedWritesAreFound(t *testing.T) {
	for _, resource := range []string{"endpoints", "endpointslices"} {
		t.Run(resource, func(t *testing.T) {
			c := newCampaign(t, 1)
			c.start()
			w := &world{t: t, client: c.client}
			w.service("web")
			w.pod("a", "web", "10.1.0.1", false)
			if wrong := c.settle(quietLimit); len(wrong) > 0 {
				t.Fatalf("before anything was planted:\n%s", strings.Join(wrong, "\n"))
			}
			dropped := make(chan struct{}, 100)
			c.faults.plant(func(req *http.Request) bool {
				if req.Method != http.MethodPut || !strings.Contains(req.URL.Path, "/"+resource+"/") {
					return false
				}
				dropped <- struct{}{}
				return true
			})
			w.status("a", "10.1.0.1", v1.PodRunning, true)
			<-dropped
			if wrong := c.settle(time.Millisecond); len(wrong) == 0 {
				t.Errorf("an update of %s was dropped, and all is said to be right", resource)
			}
		})
	}
}

// rightWorld is a small store in which all is right: a Service of two Pods, one with Endpoints by hand, and a foreign
// slice.
func rightWorld() (stored, map[types.NamespacedName]*v1.Endpoints, map[types.NamespacedName]*discovery.EndpointSlice) {
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name),
			Labels: map[string]string{"app": "web"}}
	}
	var s stored
	for name, ip := range map[string]string{"a": "10.1.0.1", "b": "10.1.0.2"} {
		s.pods = append(s.pods, v1.Pod{ObjectMeta: meta(name), Status: v1.PodStatus{
			Phase: v1.PodRunning, PodIP: ip, PodIPs: []v1.PodIP{{IP: ip}},
			Conditions: []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue}},
		}})
	}
	web := v1.Service{ObjectMeta: meta("web"), Spec: v1.ServiceSpec{
		Selector: map[string]string{"app": "web"}, ClusterIP: "10.96.0.1", IPFamilies: []v1.IPFamily{v1.IPv4Protocol},
		Ports: []v1.ServicePort{{Name: "http", Port: 80, Protocol: v1.ProtocolTCP, TargetPort: intstr.FromInt32(8080)}},
	}}
	db := v1.Service{ObjectMeta: meta("db"), Spec: v1.ServiceSpec{ClusterIP: "10.96.0.2",
		IPFamilies: []v1.IPFamily{v1.IPv4Protocol}}}
	s.services = []v1.Service{web, db}
	members := s.members(&web, nil)
	subsets, _ := membership.Subsets(&web, members)
	kept := v1.Endpoints{ObjectMeta: meta("web"), Subsets: subsets}
	kept.Labels = membership.EndpointsLabels(&web)
	hand := v1.Endpoints{ObjectMeta: meta("db"), Subsets: []v1.EndpointSubset{{
		Addresses: []v1.EndpointAddress{{IP: "10.9.0.1"}}, Ports: []v1.EndpointPort{{Port: 5432, Protocol: v1.ProtocolTCP}},
	}}}
	s.endpoints = []v1.Endpoints{kept, hand}
	mirror, _ := membership.PlanMirror(&hand, nil, nil)
	foreign := discovery.EndpointSlice{ObjectMeta: meta("foreign"),
		Endpoints: []discovery.Endpoint{{Addresses: []string{"10.7.0.1"}}}}
	s.slices = []discovery.EndpointSlice{*membership.PlanSlices(&web, members, nil).Create[0], *mirror.Create[0], foreign}
	s.slices[0].Name, s.slices[1].Name = "web-1", "db-1"
	return s, map[types.NamespacedName]*v1.Endpoints{keyOf(&hand): hand.DeepCopy()},
		map[types.NamespacedName]*discovery.EndpointSlice{keyOf(&foreign): foreign.DeepCopy()}
}

// TestEveryFaultIsFound spoils a store in which all is right, in one way at a time.
func TestEveryFaultIsFound(t *testing.T) {
	for _, tt := range []struct {
		name              string
		spoil             func(*stored)
		unplanned, broken bool // which of the two checks is to find it
	}{
		{"nothing", func(*stored) {}, false, false},
		{"an endpoint is missing", func(s *stored) { s.slices[0].Endpoints = s.slices[0].Endpoints[1:] }, true, true},
		{"an endpoint is not ready", func(s *stored) { s.slices[0].Endpoints[0].Conditions.Ready = new(false) }, true, true},
		{"an endpoint is listed twice", func(s *stored) {
			s.slices[0].Endpoints = append(s.slices[0].Endpoints, s.slices[0].Endpoints[0])
		}, true, true},
		{"a slice is there twice", func(s *stored) { s.slices = append(s.slices, s.slices[0]) }, true, true},
		{"a slice is gone", func(s *stored) { s.slices = s.slices[1:] }, true, true},
		{"a slice has another port", func(s *stored) { *s.slices[0].Ports[0].Port = 1 }, true, true},
		{"a slice has another label", func(s *stored) { s.slices[0].Labels["app"] = "db" }, true, false},
		{"a slice has a zone", func(s *stored) { s.slices[0].Endpoints[0].Zone = new("nowhere") }, true, false},
		{"a slice has another owner", func(s *stored) { s.slices[0].OwnerReferences[0].UID = "earlier" }, true, false},
		{"a slice is too large", func(s *stored) {
			for range 100 {
				s.slices[0].Endpoints = append(s.slices[0].Endpoints, discovery.Endpoint{Addresses: []string{"10.1.0.3"}})
			}
		}, true, true},
		{"the Endpoints are missing", func(s *stored) { s.endpoints = s.endpoints[1:] }, true, true},
		{"the Endpoints are empty", func(s *stored) { s.endpoints[0].Subsets = nil }, true, true},
		{"the Endpoints have a label more", func(s *stored) { s.endpoints[0].Labels["more"] = "1" }, true, false},
		{"a Pod has come", func(s *stored) {
			pod := *s.pods[0].DeepCopy()
			pod.Name, pod.UID, pod.Status.PodIPs[0].IP = "c", "c", "10.1.0.3"
			s.pods = append(s.pods, pod)
		}, true, true},
		{"a Pod has ended", func(s *stored) { s.pods[0].Status.Phase = v1.PodFailed }, true, true},
		{"a Pod has a successor of its name", func(s *stored) { s.pods[0].UID = "later" }, true, true},
		{"the Service has gone", func(s *stored) { s.services = s.services[1:] }, true, false},
		{"the selector has gone", func(s *stored) { s.services[0].Spec.Selector = nil }, true, false},
		{"the mirror is wrong", func(s *stored) { s.slices[1].Endpoints[0].Addresses[0] = "10.9.0.2" }, true, false},
		{"the mirror is gone", func(s *stored) { s.slices = append(s.slices[:1], s.slices[2]) }, true, false},
		{"Endpoints by hand are changed", func(s *stored) { s.endpoints[1].ResourceVersion = "2" }, false, true},
		{"Endpoints by hand are gone", func(s *stored) {
			s.endpoints, s.slices = s.endpoints[:1],
				append(s.slices[:1], s.slices[2])
		}, false, true},
		{"a foreign slice is changed", func(s *stored) { s.slices[2].Annotations = map[string]string{"a": "b"} }, false,
			true},
		{"a foreign slice is gone", func(s *stored) { s.slices = s.slices[:2] }, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, byHand, foreign := rightWorld()
			tt.spoil(&s)
			if wrong := unplanned(s); (len(wrong) > 0) != tt.unplanned {
				t.Errorf("by package membership: %q", wrong)
			}
			if wrong := broken(s, byHand, foreign); (len(wrong) > 0) != tt.broken {
				t.Errorf("by the invariants: %q", wrong)
			}
		})
	}
}
