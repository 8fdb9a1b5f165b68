package explain

import (
	"net/netip"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"viaduct/internal/annotations"
	"viaduct/internal/membership"
	"viaduct/internal/routing"
)

// scene builds a Snapshot whose Endpoints and slices are what they should be; a test then makes one thing wrong.
type scene struct {
	Snapshot
	at map[netip.Addr][]*v1.Pod // the Pods that have an address
}

func newScene(change ...func(*v1.Service)) *scene {
	svc := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "svc"},
		Spec: v1.ServiceSpec{
			Type: v1.ServiceTypeClusterIP, ClusterIP: "10.96.0.1", ClusterIPs: []string{"10.96.0.1"},
			IPFamilies: []v1.IPFamily{v1.IPv4Protocol},
			Selector:   map[string]string{"app": "web"},
			Ports:      []v1.ServicePort{{Name: "http", Port: 80, Protocol: v1.ProtocolTCP, TargetPort: intstr.FromInt32(8080)}},
		},
	}
	for _, f := range change {
		f(svc)
	}
	return &scene{Snapshot: Snapshot{Now: time.Unix(2000, 0), Inputs: membership.Inputs{Service: svc}}}
}

func (s *scene) pod(name, ip string, change ...func(*v1.Pod)) *v1.Pod {
	node := "here"
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name),
			Labels: map[string]string{"app": "web"}},
		Spec: v1.PodSpec{NodeName: node,
			Containers: []v1.Container{{Name: "c", Ports: []v1.ContainerPort{{Name: "web", ContainerPort: 8080}}}}},
		Status: v1.PodStatus{Phase: v1.PodRunning, PodIP: ip, PodIPs: []v1.PodIP{{IP: ip}},
			Conditions: []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue, LastTransitionTime: metav1.Unix(1000,
				0)}}},
	}
	for _, f := range change {
		f(pod)
	}
	if pod.Namespace == "shop" {
		s.Pods = append(s.Pods, pod)
	} else {
		s.Elsewhere = append(s.Elsewhere, pod)
	}
	return pod
}

// controlled writes what a controller would.
func (s *scene) controlled() *scene {
	s.Slices = nil
	d := membership.Decide(s.inputs())
	for _, p := range d.Slices {
		s.Slices = append(s.Slices, p.Create...)
	}
	s.Endpoints = d.Endpoints
	named(s.Slices)
	return s
}

// inputs are the scene's, with what may be left out.
func (s *scene) inputs() membership.Inputs {
	in := s.Inputs
	in.Controllers = membership.AllControllers()
	in.Lookups.Pods.Named = func(name string) *v1.Pod {
		if i := slices.IndexFunc(s.Pods, func(p *v1.Pod) bool { return p.Name == name }); i >= 0 {
			return s.Pods[i]
		}
		return nil
	}
	in.Lookups.Pods.At = func(addr netip.Addr) []*v1.Pod { return s.at[addr] }
	return in
}

// report decides and explains.
func (s *scene) report() Report {
	snapshot := s.Snapshot
	snapshot.Inputs = s.inputs()
	snapshot.Decision = membership.Decide(snapshot.Inputs)
	return Service(snapshot)
}

func named(list []*discovery.EndpointSlice) []*discovery.EndpointSlice {
	for i, s := range list {
		s.Name = s.GenerateName + string(rune('a'+i))
		s.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "viaduct", Time: new(metav1.Unix(1500, 0))}}
	}
	return list
}

// proxied has the proxy of a node apply all.
func (s *scene) proxied() *scene {
	node := routing.Node{Name: "here"}
	s.Proxy = &NodeState{Node: node, Mode: "nftables", Applied: time.Unix(1990, 0), Frontends: routing.Frontends(node,
		s.Service, s.Slices)}
	s.KernelOK = true
	for _, f := range s.Proxy.Frontends {
		s.Kernel = append(s.Kernel, Place{Dest: f.Dest(), Inside: addrsOf(f.Inside), Outside: addrsOf(f.Outside)})
	}
	return s
}

func notReady(p *v1.Pod) { p.Status.Conditions[0].Status = v1.ConditionFalse }

func labelled(key, value string) func(*v1.Pod) {
	return func(p *v1.Pod) { p.Labels = map[string]string{key: value} }
}

func byHand(svc *v1.Service) { svc.Spec.Selector = nil }

func handScene(ips ...string) *scene {
	s := newScene(byHand)
	subset := v1.EndpointSubset{Ports: []v1.EndpointPort{{Name: "http", Port: 5432, Protocol: v1.ProtocolTCP}}}
	for _, ip := range ips {
		subset.Addresses = append(subset.Addresses, v1.EndpointAddress{IP: ip})
	}
	s.Endpoints = &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "ep"},
		Subsets: []v1.EndpointSubset{subset}}
	return s
}

func unready(ep *v1.Endpoints) {
	ep.Subsets[0].NotReadyAddresses, ep.Subsets[0].Addresses = ep.Subsets[0].Addresses, nil
}

// found has a check find the first address down; the others are up.
func found(s *scene, ready, serving bool) *scene {
	s.Service.Annotations = map[string]string{annotations.HealthCheck: "tcp"}
	s.controlled()
	yes := true
	for i := range s.Slices[0].Endpoints {
		e := &s.Slices[0].Endpoints[i]
		if e.Conditions.Ready, e.Conditions.Serving, e.Conditions.Terminating = &yes, &yes, new(bool); i == 0 {
			e.Conditions.Ready, e.Conditions.Serving = &ready, &serving
		}
	}
	s.Slices[0].Annotations = map[string]string{annotations.HealthStatus: `{"10.9.0.1":{"state":"down",` +
		`"since":"1970-01-01T00:30:00Z","cause":"connection refused"}}`}
	return s
}
