package endpoints_test

import (
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"viaduct/internal/apiserver/apitest"
	"viaduct/internal/endpoints"
)

// What a controller that does not run would keep, is not touched: it is another program's.
func TestSomeControllers(t *testing.T) {
	for _, c := range []struct {
		runs                             string
		endpoints, slices, mirrored, end string // of the Services: web has a selector, db does not
	}{
		{endpoints.EndpointsController, "ready 10.0.0.1, port 8080", "gone", "gone", "gone"},
		{endpoints.SliceController, "gone", "10.0.0.1 ready", "gone", "gone"},
		{endpoints.MirrorController, "gone", "gone", "10.9.0.1 ready", "gone"},
	} {
		t.Run(c.runs, func(t *testing.T) {
			w := &world{t: t, server: apitest.Start(t)}
			w.client = w.server.Client(t)
			w.startController(c.runs)
			w.service("web")
			w.pod("a", "web", "10.0.0.1", true)
			w.service("db", withoutSelector)
			w.endpoints("db", "10.9.0.1")
			w.waitEndpoints("web", c.endpoints)
			w.waitSlices("web", c.slices)
			w.waitSlices("db", c.mirrored)
			w.stop()
			w.startController() // all of them: the rest follows
			w.waitEndpoints("web", "ready 10.0.0.1, port 8080")
			w.waitSlices("web", "10.0.0.1 ready")
			w.waitSlices("db", "10.9.0.1 ready")
			w.stop()
			before := w.versions()
			w.startController(c.runs)
			w.status("a", "10.0.0.1", v1.PodRunning, false)
			w.waitEndpoints("web", map[bool]string{true: "not-ready 10.0.0.1, port 8080",
				false: "ready 10.0.0.1, port 8080"}[c.runs == endpoints.EndpointsController])
			w.waitSlices("web", map[bool]string{true: "10.0.0.1 not-ready",
				false: "10.0.0.1 ready"}[c.runs == endpoints.SliceController])
			w.stop()
			changed := 0
			for name, version := range w.versions() {
				if before[name] != version {
					changed++
				}
			}
			if want := map[bool]int{true: 0, false: 1}[c.runs == endpoints.MirrorController]; changed != want {
				t.Errorf("%d objects were written, want %d", changed, want)
			}
		})
	}
}

// The annotation says when what is told happened: the Pod's own transition; and nothing after a restart, for nothing
// happened.
func TestTriggerTime(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	w.pod("a", "web", "10.0.0.1", true)
	w.waitEndpoints("web", "ready 10.0.0.1, port 8080")
	w.status("a", "10.0.0.1", v1.PodRunning, false)
	w.waitEndpoints("web", "not-ready 10.0.0.1, port 8080")
	w.waitSlices("web", "10.0.0.1 not-ready")
	pod, err := w.client.CoreV1().Pods("default").Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := pod.Status.Conditions[0].LastTransitionTime.UTC().Format(time.RFC3339Nano)
	if got := w.trigger("web"); got != [2]string{want, want} {
		t.Errorf("Endpoints and slice were triggered at %s, want %s", got, want)
	}
	w.stop()
	w.patch("services", "web", map[string]any{"metadata": map[string]any{"labels": map[string]string{"a": "b"}}})
	w.startController()
	w.waitLabel("web", "a", "b")
	if got := w.trigger("web"); got != [2]string{} {
		t.Errorf("what is written after a restart claims to be triggered at %s", got)
	}
}

// trigger is what the Endpoints and the only slice of a Service say of it.
func (w *world) trigger(service string) [2]string {
	w.t.Helper()
	ep, err := w.client.CoreV1().Endpoints("default").Get(w.t.Context(), service, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return [2]string{ep.Annotations[v1.EndpointsLastChangeTriggerTime],
		w.slices(service)[0].Annotations[v1.EndpointsLastChangeTriggerTime]}
}

// waitLabel waits until the slices of a Service have a label; the Endpoints do by then, or do soon.
func (w *world) waitLabel(service, key, value string) {
	w.t.Helper()
	slices, eps := w.client.DiscoveryV1().EndpointSlices("default"), w.client.CoreV1().Endpoints("default")
	w.wait("label of the slices", func(o metav1.ListOptions) (watch.Interface, error) {
		return slices.Watch(w.t.Context(),
			o)
	},
		func() string { return w.slices(service)[0].Labels[key] }, value)
	w.wait("label of the Endpoints", func(o metav1.ListOptions) (watch.Interface, error) {
		return eps.Watch(w.t.Context(),
			o)
	}, func() string {
		ep, err := eps.Get(w.t.Context(), service, metav1.GetOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		return ep.Labels[key]
	}, value)
}

// Zones, and what the annotation and the field make of them, reach the slices; a node that changes its zone changes
// them.
func TestHintsReachTheSlices(t *testing.T) {
	w := newWorld(t)
	for name, zone := range map[string]string{"n1": "x", "n2": "y"} {
		w.node(name, zone)
	}
	w.service("web", func(svc *v1.Service) {
		svc.Spec.TrafficDistribution = new(
			v1.ServiceTrafficDistributionPreferSameZone)
	})
	w.pod("a", "web", "10.0.0.1", true) // on n1
	w.waitHints("web", "10.0.0.1 in x for x")
	moved := fmt.Sprintf(`{"metadata": {"labels": {%q: "z"}}}`, v1.LabelTopologyZone)
	if _, err := w.client.CoreV1().Nodes().Patch(t.Context(), "n1", types.MergePatchType, []byte(moved),
		metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	w.waitHints("web", "10.0.0.1 in z for z")
	w.patch("services", "web", map[string]any{"spec": map[string]any{"trafficDistribution": nil}})
	w.waitHints("web", "10.0.0.1 in z for all")
}

func (w *world) node(name, zone string) {
	w.t.Helper()
	_, err := w.client.CoreV1().Nodes().Create(w.t.Context(), &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1.LabelTopologyZone: zone}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) waitHints(service, want string) {
	w.t.Helper()
	api := w.client.DiscoveryV1().EndpointSlices("default")
	w.wait("hints of "+service, func(o metav1.ListOptions) (watch.Interface, error) { return api.Watch(w.t.Context(), o) },
		func() string {
			text := ""
			for _, s := range w.slices(service) {
				for _, e := range s.Endpoints {
					text += fmt.Sprintf("%s in %s for %s", e.Addresses[0], *e.Zone, hinted(e.Hints))
				}
			}
			return text
		}, want)
}

func hinted(h *discovery.EndpointHints) string {
	if h == nil {
		return "all"
	}
	return h.ForZones[0].Name
}
