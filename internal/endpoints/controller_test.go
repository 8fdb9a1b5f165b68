package endpoints_test

import (
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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

func TestTooManyByHandIsTold(t *testing.T) {
	w := newWorld(t)
	events, err := w.client.CoreV1().Events("default").Watch(t.Context(),
		metav1.ListOptions{FieldSelector: "reason=TooManyAddressesToMirror"})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	var ips []string
	for i := range 1001 {
		ips = append(ips, fmt.Sprintf("10.9.%d.%d", i/200, i%200+1))
	}
	w.service("db", withoutSelector)
	w.endpoints("db", ips...)
	told := (<-events.ResultChan()).Object.(*v1.Event)
	if told.InvolvedObject.Kind != "Endpoints" || told.InvolvedObject.Name != "db" || told.Type != v1.EventTypeWarning {
		t.Errorf("the event is about %+v", told.InvolvedObject)
	}
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
	if err := w.client.DiscoveryV1().EndpointSlices("default").Delete(t.Context(), w.slices("web")[0].Name,
		metav1.DeleteOptions{}); err != nil {
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
		ObjectMeta: metav1.ObjectMeta{Name: "web-other", Labels: map[string]string{discovery.LabelServiceName: "web",
			discovery.LabelManagedBy: "somebody.example"}},
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

// TestRestartWritesNothing stops the controller, makes no change, and starts another: no Endpoints and no slice may
// change.
func TestRestartWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	w.service("db", withoutSelector)
	w.endpoints("db", "10.9.0.1")
	for i := range 5 {
		w.pod(fmt.Sprintf("p%d", i), "web", fmt.Sprintf("10.0.0.%d", i+1), i%2 == 0)
	}
	w.waitEndpoints("web", "ready 10.0.0.1, ready 10.0.0.3, ready 10.0.0.5, not-ready 10.0.0.2, not-ready 10.0.0.4, "+
		"port 8080")
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
