package endpoints_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
	"viaduct/internal/endpoints"
)

// world is a real API server with a running controller.
type world struct {
	t      *testing.T
	server *apitest.Server
	client *kubernetes.Clientset
	stop   func() // the controller
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, server: apitest.Start(t)}
	w.client = w.server.Client(t)
	w.startController()
	return w
}

// startController runs a controller with the rights of one, and no more.
func (w *world) startController() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	c := endpoints.New(w.server.ClientAs(w.t, apiserver.UserController), endpoints.Options{Log: slog.New(slog.DiscardHandler)})
	go func() { done <- c.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the controller ended with: %v", err)
		}
	}
	w.t.Cleanup(w.stop)
}

func (w *world) service(name string, change ...func(*v1.Service)) *v1.Service {
	w.t.Helper()
	svc := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.ServiceSpec{
			Selector: map[string]string{"app": name},
			Ports:    []v1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
	for _, f := range change {
		f(svc)
	}
	made, err := w.client.CoreV1().Services("default").Create(w.t.Context(), svc, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

func withoutSelector(svc *v1.Service) { svc.Spec.Selector = nil }

// pod makes a Pod with label app, running at ip.
func (w *world) pod(name, app, ip string, ready bool) {
	w.t.Helper()
	_, err := w.client.CoreV1().Pods("default").Create(w.t.Context(), &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": app}},
		Spec:       v1.PodSpec{NodeName: "n1", Containers: []v1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.status(name, ip, v1.PodRunning, ready)
}

func (w *world) status(pod, ip string, phase v1.PodPhase, ready bool) {
	w.t.Helper()
	condition := v1.PodCondition{Type: v1.PodReady, Status: v1.ConditionFalse}
	if ready {
		condition.Status = v1.ConditionTrue
	}
	w.patch("pods", pod, map[string]any{"status": v1.PodStatus{
		Phase: phase, PodIP: ip, PodIPs: []v1.PodIP{{IP: ip}}, Conditions: []v1.PodCondition{condition},
	}}, "status")
}

func (w *world) patch(resource, name string, change any, subresources ...string) {
	w.t.Helper()
	body, err := json.Marshal(change)
	if err != nil {
		w.t.Fatal(err)
	}
	err = w.client.CoreV1().RESTClient().Patch(types.MergePatchType).Namespace("default").Resource(resource).Name(name).
		SubResource(subresources...).Body(body).Do(w.t.Context()).Error()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) endpoints(name string, ips ...string) {
	w.t.Helper()
	subset := v1.EndpointSubset{Ports: []v1.EndpointPort{{Port: 5432}}}
	for _, ip := range ips {
		subset.Addresses = append(subset.Addresses, v1.EndpointAddress{IP: ip})
	}
	_, err := w.client.CoreV1().Endpoints("default").Create(w.t.Context(), &v1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Subsets: []v1.EndpointSubset{subset},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// spellEndpoints writes Endpoints down: "ready 10.0.0.1 not-ready 10.0.0.2 ports 8080", or "none".
func spellEndpoints(ep *v1.Endpoints) string {
	var parts []string
	for _, s := range ep.Subsets {
		for _, a := range s.Addresses {
			parts = append(parts, "ready "+a.IP)
		}
		for _, a := range s.NotReadyAddresses {
			parts = append(parts, "not-ready "+a.IP)
		}
		for _, p := range s.Ports {
			parts = append(parts, fmt.Sprintf("port %d", p.Port))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// wait watches until show says want.
func (w *world) wait(what string, start func(metav1.ListOptions) (watch.Interface, error), show func() string, want string) {
	w.t.Helper()
	events, err := start(metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer events.Stop()
	late := time.After(20 * time.Second)
	for {
		got := show()
		if got == want {
			return
		}
		select {
		case <-events.ResultChan():
		case <-late:
			w.t.Fatalf("%s: %s, want %s", what, got, want)
		}
	}
}

func (w *world) waitEndpoints(name, want string) {
	w.t.Helper()
	api := w.client.CoreV1().Endpoints("default")
	w.wait("endpoints "+name, func(o metav1.ListOptions) (watch.Interface, error) { return api.Watch(w.t.Context(), o) }, func() string {
		ep, err := api.Get(w.t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return "gone"
		}
		if err != nil {
			w.t.Fatal(err)
		}
		return spellEndpoints(ep)
	}, want)
}

func (w *world) slices(service string) []discovery.EndpointSlice {
	w.t.Helper()
	list, err := w.client.DiscoveryV1().EndpointSlices("default").List(w.t.Context(), metav1.ListOptions{LabelSelector: discovery.LabelServiceName + "=" + service})
	if err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

// waitSlices waits for the sorted addresses of a Service's slices, each with its conditions.
func (w *world) waitSlices(service, want string) {
	w.t.Helper()
	api := w.client.DiscoveryV1().EndpointSlices("default")
	w.wait("slices of "+service, func(o metav1.ListOptions) (watch.Interface, error) { return api.Watch(w.t.Context(), o) }, func() string {
		items := w.slices(service)
		if len(items) == 0 {
			return "gone"
		}
		var parts []string
		for _, s := range items {
			for _, e := range s.Endpoints {
				parts = append(parts, e.Addresses[0]+" "+conditions(e.Conditions))
			}
		}
		slices.Sort(parts)
		return strings.Join(parts, ", ")
	}, want)
}

func conditions(c discovery.EndpointConditions) string {
	switch {
	case c.Terminating != nil && *c.Terminating:
		return "terminating"
	case *c.Ready:
		return "ready"
	}
	return "not-ready"
}

func TestPodsComeChangeAndGo(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	w.waitEndpoints("web", "none")
	w.pod("a", "web", "10.0.0.10", true)
	w.pod("b", "web", "10.0.0.2", false)
	w.waitEndpoints("web", "ready 10.0.0.10, not-ready 10.0.0.2, port 8080")
	w.waitSlices("web", "10.0.0.10 ready, 10.0.0.2 not-ready")

	w.status("b", "10.0.0.2", v1.PodRunning, true)
	w.waitEndpoints("web", "ready 10.0.0.2, ready 10.0.0.10, port 8080")

	if err := w.client.CoreV1().Pods("default").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.waitEndpoints("web", "ready 10.0.0.2, port 8080")
	w.waitSlices("web", "10.0.0.10 terminating, 10.0.0.2 ready") // until its node says that it is gone

	w.status("b", "10.0.0.2", v1.PodSucceeded, false)
	w.waitEndpoints("web", "none")
}

func TestLabelsDecide(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	w.service("api")
	w.pod("a", "web", "10.0.0.1", true)
	w.waitEndpoints("web", "ready 10.0.0.1, port 8080")
	w.patch("pods", "a", map[string]any{"metadata": map[string]any{"labels": map[string]string{"app": "api"}}})
	w.waitEndpoints("web", "none")
	w.waitEndpoints("api", "ready 10.0.0.1, port 8080")
	w.patch("services", "web", map[string]any{"spec": map[string]any{"selector": map[string]string{"app": "api"}}})
	w.waitEndpoints("web", "ready 10.0.0.1, port 8080")
}

func TestEndpointsByHandAreMirrored(t *testing.T) {
	w := newWorld(t)
	w.service("db", withoutSelector)
	w.endpoints("db", "10.9.0.1", "fd00::9")
	w.waitSlices("db", "10.9.0.1 ready, fd00::9 ready")
	for _, s := range w.slices("db") {
		if by := s.Labels[discovery.LabelManagedBy]; by != "endpointslicemirroring-controller.k8s.io" {
			t.Errorf("slice %s is managed by %s", s.Name, by)
		}
	}
	w.patch("endpoints", "db", map[string]any{"subsets": []v1.EndpointSubset{{
		Addresses: []v1.EndpointAddress{{IP: "10.9.0.2"}}, Ports: []v1.EndpointPort{{Port: 5432, Protocol: v1.ProtocolTCP}},
	}}})
	w.waitSlices("db", "10.9.0.2 ready")
	w.waitEndpoints("db", "ready 10.9.0.2, port 5432") // as it was written
	if err := w.client.CoreV1().Endpoints("default").Delete(t.Context(), "db", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.waitSlices("db", "gone")
}

func TestEndpointsBeforeTheirService(t *testing.T) {
	w := newWorld(t)
	w.endpoints("db", "10.9.0.1")
	w.service("db", withoutSelector)
	w.waitSlices("db", "10.9.0.1 ready")
	w.waitEndpoints("db", "ready 10.9.0.1, port 5432")
}

func TestSelectorIsTakenAway(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	w.pod("a", "web", "10.0.0.1", true)
	w.waitSlices("web", "10.0.0.1 ready")
	w.waitEndpoints("web", "ready 10.0.0.1, port 8080")
	w.patch("services", "web", map[string]any{"spec": map[string]any{"selector": nil}})
	w.waitEndpoints("web", "gone")
	w.waitSlices("web", "gone")
	w.endpoints("web", "10.9.0.1") // from now on it is a person's
	w.waitSlices("web", "10.9.0.1 ready")
}

func TestServiceIsDeleted(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"web", "db"} {
		w.service(name, func(svc *v1.Service) {
			if name == "db" {
				withoutSelector(svc)
			}
		})
	}
	w.pod("a", "web", "10.0.0.1", true)
	w.endpoints("db", "10.9.0.1")
	w.waitSlices("web", "10.0.0.1 ready")
	w.waitSlices("db", "10.9.0.1 ready")
	for _, name := range []string{"web", "db"} {
		if err := w.client.CoreV1().Services("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.waitEndpoints(name, "gone")
		w.waitSlices(name, "gone")
	}
}

func TestForeignHandIsUndone(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	w.pod("a", "web", "10.0.0.1", true)
	w.waitEndpoints("web", "ready 10.0.0.1, port 8080")
	w.waitSlices("web", "10.0.0.1 ready")
	w.patch("endpoints", "web", map[string]any{"subsets": nil})
	w.waitEndpoints("web", "ready 10.0.0.1, port 8080")
	if err := w.client.DiscoveryV1().EndpointSlices("default").Delete(t.Context(), w.slices("web")[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.waitSlices("web", "10.0.0.1 ready")
	if err := w.client.CoreV1().Endpoints("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.waitEndpoints("web", "ready 10.0.0.1, port 8080")
}

func TestForeignSlicesAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	foreign := &discovery.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "web-other", Labels: map[string]string{discovery.LabelServiceName: "web", discovery.LabelManagedBy: "somebody.example"}},
		AddressType: discovery.AddressTypeIPv4,
		Endpoints:   []discovery.Endpoint{{Addresses: []string{"10.7.0.1"}}},
	}
	made, err := w.client.DiscoveryV1().EndpointSlices("default").Create(t.Context(), foreign, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.pod("a", "web", "10.0.0.1", true)
	w.waitEndpoints("web", "ready 10.0.0.1, port 8080")
	if err := w.client.CoreV1().Services("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.waitEndpoints("web", "gone")
	still, err := w.client.DiscoveryV1().EndpointSlices("default").Get(t.Context(), "web-other", metav1.GetOptions{})
	if err != nil || still.ResourceVersion != made.ResourceVersion {
		t.Errorf("somebody else's slice was touched: %v", err)
	}
}

// TestRestartWritesNothing stops the controller, makes no change, and starts another: no Endpoints and no slice may change.
func TestRestartWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	w.service("db", withoutSelector)
	w.endpoints("db", "10.9.0.1")
	for i := range 5 {
		w.pod(fmt.Sprintf("p%d", i), "web", fmt.Sprintf("10.0.0.%d", i+1), i%2 == 0)
	}
	w.waitEndpoints("web", "ready 10.0.0.1, ready 10.0.0.3, ready 10.0.0.5, not-ready 10.0.0.2, not-ready 10.0.0.4, port 8080")
	w.waitSlices("web", "10.0.0.1 ready, 10.0.0.2 not-ready, 10.0.0.3 ready, 10.0.0.4 not-ready, 10.0.0.5 ready")
	w.waitSlices("db", "10.9.0.1 ready")
	w.stop()
	before := w.versions()
	w.startController()
	w.service("last") // once the new controller has seen to this one, it has been through all before it
	w.waitEndpoints("last", "none")
	w.waitSlices("last", "")
	w.stop()
	after := w.versions()
	for name, version := range before {
		if after[name] != version {
			t.Errorf("%s was written: %s, was %s", name, after[name], version)
		}
	}
}

func (w *world) versions() map[string]string {
	w.t.Helper()
	versions := map[string]string{}
	eps, err := w.client.CoreV1().Endpoints("").List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, ep := range eps.Items {
		versions["endpoints "+ep.Name] = ep.ResourceVersion
	}
	list, err := w.client.DiscoveryV1().EndpointSlices("").List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range list.Items {
		versions["slice "+s.Name] = s.ResourceVersion
	}
	return versions
}
