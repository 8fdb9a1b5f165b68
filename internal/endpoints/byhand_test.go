package endpoints_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"

	"viaduct/internal/annotations"
)

func annotated(pairs ...string) func(*v1.Service) {
	return func(svc *v1.Service) {
		withoutSelector(svc)
		svc.Annotations = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			svc.Annotations[pairs[i]] = pairs[i+1]
		}
	}
}

// quick is a check that finds out soon.
const quick = "tcp interval=100ms"

// database listens on each of the addresses, on one port that is free on all.
func database(t *testing.T, ips ...string) (port int32, listeners []net.Listener) {
	t.Helper()
	for range 50 {
		listeners, port = nil, 0
		for _, ip := range ips {
			l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", ip, port))
			if err != nil {
				break
			}
			port = int32(l.Addr().(*net.TCPAddr).Port)
			t.Cleanup(func() { _ = l.Close() })
			listeners = append(listeners, l)
		}
		if len(listeners) == len(ips) {
			return port, listeners
		}
	}
	t.Fatal("no port is free on all addresses")
	return 0, nil
}

func (w *world) write(name string, port int32, change func(*v1.Endpoints), ips ...string) *v1.Endpoints {
	w.t.Helper()
	subset := v1.EndpointSubset{Ports: []v1.EndpointPort{{Port: port}}}
	for _, ip := range ips {
		subset.Addresses = append(subset.Addresses, v1.EndpointAddress{IP: ip})
	}
	ep := &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: name}, Subsets: []v1.EndpointSubset{subset}}
	if change != nil {
		change(ep)
	}
	made, err := w.client.CoreV1().Endpoints("default").Create(w.t.Context(), ep, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// waitFound waits for the addresses of the slices of one keeper, each with what is known of it.
func (w *world) waitFound(service, by, want string) {
	w.t.Helper()
	api := w.client.DiscoveryV1().EndpointSlices("default")
	w.wait("slices of "+service, func(o metav1.ListOptions) (watch.Interface, error) {
		return api.Watch(w.t.Context(),
			o)
	}, func() string {
		var parts []string
		for _, s := range w.slices(service) {
			if s.Labels[discovery.LabelManagedBy] != by {
				continue
			}
			for _, e := range s.Endpoints {
				parts = append(parts, fmt.Sprintf("%s ready=%v serving=%v", e.Addresses[0], said(e.Conditions.Ready),
					said(e.Conditions.Serving)))
			}
		}
		slices.Sort(parts)
		return strings.Join(parts, ", ")
	}, want)
}

func said(c *bool) string {
	if c == nil {
		return "?"
	}
	return fmt.Sprint(*c)
}

// waitEvent waits for an event about an object of that name, and returns its message.
func (w *world) waitEvent(name, reason string) (message string) {
	w.t.Helper()
	api := w.client.CoreV1().Events("default")
	w.wait("events of "+name, func(o metav1.ListOptions) (watch.Interface, error) { return api.Watch(w.t.Context(), o) },
		func() string {
			list, err := api.List(w.t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + name + ",reason=" +
				reason})
			if err != nil {
				w.t.Fatal(err)
			}
			if len(list.Items) == 0 {
				return "none"
			}
			message = list.Items[0].Message
			return "there"
		}, "there")
	return message
}

// waitEvents waits until there have been n events of that reason: the recorder writes them when it comes to it.
func (w *world) waitEvents(reason string, n int32) {
	w.t.Helper()
	api := w.client.CoreV1().Events("default")
	w.wait("events "+reason, func(o metav1.ListOptions) (watch.Interface, error) { return api.Watch(w.t.Context(), o) },
		func() string {
			return fmt.Sprint(w.countEvents(reason))
		}, fmt.Sprint(n))
}

func (w *world) countEvents(reason string) (n int32) {
	w.t.Helper()
	list, err := w.client.CoreV1().Events("default").List(w.t.Context(), metav1.ListOptions{FieldSelector: "reason=" +
		reason})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range list.Items {
		n += max(e.Count, 1)
	}
	return n
}

func TestAddressesByHandAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	port, listeners := database(t, "127.0.0.1", "127.0.0.2")
	w.service("db", annotated(annotations.HealthCheck, quick))
	written := w.write("db", port, nil, "127.0.0.1", "127.0.0.2")
	w.waitFound("db", mirrored, "127.0.0.1 ready=true serving=true, 127.0.0.2 ready=true serving=true")

	_ = listeners[1].Close()
	w.waitFound("db", mirrored, "127.0.0.1 ready=true serving=true, 127.0.0.2 ready=false serving=false")
	if m := w.waitEvent("db", "EndpointDown"); m != fmt.Sprintf("127.0.0.2:%d does not answer its health check (tcp "+
		"interval=100ms timeout=100ms): connection refused", port) {
		t.Errorf("the event says %q", m)
	}
	w.waitEvents("EndpointDown", 2) // on the Service and on the Endpoints
	w.patch("services", "db",
		map[string]any{"metadata": map[string]any{"annotations": map[string]string{annotations.HealthCheck: quick +
			" rise=3"}}})
	_ = listeners[0].Close() // with another check, too, the one that is down stays so
	w.waitFound("db", mirrored, "127.0.0.1 ready=true serving=false, 127.0.0.2 ready=true serving=false")
	w.waitEvents("EndpointDown", 4)
	if m := w.waitEvent("db", "AllEndpointsDown"); !strings.Contains(m,
		"connections are sent to all of them") {
		t.Errorf("the event says %q", m)
	}
	refuse := map[string]string{annotations.WhenAllDown: annotations.Refuse}
	w.patch("services", "db", map[string]any{"metadata": map[string]any{"annotations": refuse}})
	w.waitFound("db", mirrored, "127.0.0.1 ready=false serving=false, 127.0.0.2 ready=false serving=false")
	again, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	w.waitFound("db", mirrored, "127.0.0.1 ready=true serving=true, 127.0.0.2 ready=false serving=false")
	w.waitEvent("db", "EndpointUp")
	w.waitEvents("EndpointDown", 4)

	now, err := w.client.CoreV1().Endpoints("default").Get(t.Context(), "db", metav1.GetOptions{})
	if err != nil || now.ResourceVersion != written.ResourceVersion {
		t.Errorf("what was written by hand was edited: %v, %v", now, err)
	}
	w.patch("services", "db",
		map[string]any{"metadata": map[string]any{"annotations": map[string]any{annotations.HealthCheck: nil}}})
	w.waitFound("db", mirrored, "127.0.0.1 ready=true serving=?, 127.0.0.2 ready=true serving=?")
}

// The next controller begins with what the slices say: it writes nothing and tells nothing of what is as it was.
func TestChecksAreHandedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	port, listeners := database(t, "127.0.0.1", "127.0.0.2")
	w.service("db", annotated(annotations.HealthCheck, quick))
	w.write("db", port, nil, "127.0.0.1", "127.0.0.2")
	_ = listeners[1].Close()
	const now = "127.0.0.1 ready=true serving=true, 127.0.0.2 ready=false serving=false"
	w.waitFound("db", mirrored, now)
	w.waitEvents("EndpointDown", 2) // on the Service and on the Endpoints
	before := w.slices("db")
	w.stop()
	w.write("other", port, nil, "127.0.0.2") // nothing is known of this one; what is found of it shows that the checks run
	w.service("other", annotated(annotations.HealthCheck, quick))
	w.startController()
	w.waitFound("other", mirrored, "127.0.0.2 ready=true serving=false")
	if after := w.slices("db"); after[0].ResourceVersion != before[0].ResourceVersion {
		t.Errorf("the hand-over wrote %s, which was %s", after[0].ResourceVersion, before[0].ResourceVersion)
	}
	w.waitEvents("EndpointDown", 2)
}

func TestSlicesByHandAreChecked(t *testing.T) {
	t.Parallel()
	const standsIn = "health.viaduct.dev"
	w := newWorld(t)
	port, listeners := database(t, "127.0.0.1", "127.0.0.2")
	w.service("db", annotated())
	api := w.client.DiscoveryV1().EndpointSlices("default")
	name, protocol := "", v1.ProtocolTCP
	written, err := api.Create(t.Context(), &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "mine", Labels: map[string]string{discovery.LabelServiceName: "db"},
			Annotations: map[string]string{annotations.HealthCheck: quick}},
		AddressType: discovery.AddressTypeIPv4, Ports: []discovery.EndpointPort{{Name: &name, Port: &port,
			Protocol: &protocol}},
		Endpoints: []discovery.Endpoint{{Addresses: []string{"127.0.0.1"}}, {Addresses: []string{"127.0.0.2"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.waitFound("db", standsIn, "127.0.0.1 ready=true serving=true, 127.0.0.2 ready=true serving=true")
	_ = listeners[0].Close()
	w.waitFound("db", standsIn, "127.0.0.1 ready=false serving=false, 127.0.0.2 ready=true serving=true")
	if now, err := api.Get(t.Context(), "mine", metav1.GetOptions{}); err != nil ||
		now.ResourceVersion != written.ResourceVersion {
		t.Errorf("what was written by hand was edited: %v, %v", now, err)
	}
	if err := api.Delete(t.Context(), "mine", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.waitFound("db", standsIn, "")
}

// What the Endpoints ask for counts, too.
func TestCheckOfEndpoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("db", 5432, func(ep *v1.Endpoints) { ep.Annotations = map[string]string{annotations.HealthCheck: quick} },
		"127.0.0.9")
	w.service("db", func(svc *v1.Service) { withoutSelector(svc) })
	w.waitFound("db", mirrored, "127.0.0.9 ready=true serving=false")
}

// Endpoints may ask to follow, too; their slice cannot, and does not repeat it.
func TestEndpointsFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service("db", withoutSelector)
	w.pod("db-0", "x", "10.9.0.1", true)
	w.write("db", 5432, func(ep *v1.Endpoints) { ep.Annotations = map[string]string{annotations.Follow: "true"} },
		"10.9.0.1")
	w.waitFound("db", mirrored, "10.9.0.1 ready=true serving=?")
	w.status("db-0", "10.9.0.7", v1.PodRunning, true)
	w.waitFound("db", mirrored, "10.9.0.7 ready=true serving=true")
}

func TestFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service("db", annotated(annotations.Follow, "true"))
	w.pod("db-0", "x", "10.9.0.1", true)
	w.pod("db-1", "x", "10.9.0.2", true)
	w.write("db", 5432, func(ep *v1.Endpoints) {
		ep.Subsets[0].Addresses[1].TargetRef = &v1.ObjectReference{Kind: "Pod", Name: "db-1", Namespace: "default"}
	}, "10.9.0.1", "10.9.0.2", "10.9.0.3")
	w.waitFound("db", mirrored, "10.9.0.1 ready=true serving=?, 10.9.0.2 ready=true serving=?, 10.9.0.3 ready=true "+
		"serving=?")
	api := w.client.DiscoveryV1().EndpointSlices("default")
	w.wait("what is remembered", func(o metav1.ListOptions) (watch.Interface, error) { return api.Watch(t.Context(), o) },
		func() string {
			return w.slices("db")[0].Annotations[annotations.Followed]
		}, "10.9.0.1=db-0")

	for _, pod := range []string{"db-0", "db-1"} { // as a StatefulSet makes a Pod anew
		if err := w.client.CoreV1().Pods("default").Delete(t.Context(), pod,
			metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
			t.Fatal(err)
		}
	}
	if m := w.waitEvent("db", "EndpointPodGone"); !strings.Contains(m, "which had the address 10.9.0.") {
		t.Errorf("the event says %q", m)
	}
	w.pod("stranger", "x", "10.9.0.1", true)
	w.waitFound("db", mirrored, "10.9.0.1 ready=false serving=false, 10.9.0.2 ready=true serving=?, 10.9.0.3 "+
		"ready=true serving=?")
	w.stop()
	w.startController() // what it must know is in the slices
	w.pod("db-1", "x", "10.9.1.2", true)
	w.waitFound("db", mirrored, "10.9.0.1 ready=false serving=false, 10.9.0.3 ready=true serving=?, 10.9.1.2 "+
		"ready=true serving=true")
	w.pod("db-0", "x", "10.9.1.1", true)
	w.waitFound("db", mirrored, "10.9.0.3 ready=true serving=?, 10.9.1.1 ready=true serving=true, 10.9.1.2 ready=true "+
		"serving=true")
}

// Who does not ask for following is told all the same.
func TestPodLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service("db", annotated())
	w.pod("db-0", "x", "10.9.0.1", true)
	w.write("db", 5432, nil, "10.9.0.1")
	w.waitFound("db", mirrored, "10.9.0.1 ready=true serving=?")
	w.status("db-0", "10.9.0.7", v1.PodRunning, true)
	if m := w.waitEvent("db", "EndpointPodGone"); !strings.HasPrefix(m, "Pod default/db-0, which had the address "+
		"10.9.0.1, has 10.9.0.7 now") {
		t.Errorf("the event says %q", m)
	}
	w.waitFound("db", mirrored, "10.9.0.1 ready=true serving=?")
}

// An address of another namespace's Pod is flagged.
func TestForeignPod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pod("secret", "x", "10.9.0.1", true)
	if _, err := w.client.CoreV1().Namespaces().Create(t.Context(),
		&v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "spy"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.CoreV1().Services("spy").Create(t.Context(), &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "lens"},
		Spec:       v1.ServiceSpec{Ports: []v1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(80)}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.CoreV1().Endpoints("spy").Create(t.Context(), &v1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "lens"},
		Subsets: []v1.EndpointSubset{{Addresses: []v1.EndpointAddress{{IP: "10.9.0.1"}},
			Ports: []v1.EndpointPort{{Port: 80}}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	api := w.client.CoreV1().Events("spy")
	w.wait("events", func(o metav1.ListOptions) (watch.Interface, error) { return api.Watch(t.Context(), o) },
		func() string {
			list, err := api.List(t.Context(), metav1.ListOptions{FieldSelector: "reason=ForeignPodAddress"})
			if err != nil {
				t.Fatal(err)
			}
			if len(list.Items) == 0 {
				return "none"
			}
			return list.Items[0].Message
		}, "Addresses of other namespaces: 10.9.0.1 belongs to Pod default/secret (CVE-2021-25740)")
}

// What is checked shows in the metrics, while this process works.
func TestMetricsOfWhatIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	port, listeners := database(t, "127.0.0.1", "127.0.0.2")
	w.service("db", annotated(annotations.HealthCheck, quick))
	w.write("db", port, nil, "127.0.0.1", "127.0.0.2")
	_ = listeners[1].Close()
	w.waitFound("db", mirrored, "127.0.0.1 ready=true serving=true, 127.0.0.2 ready=false serving=false")
	registry := prometheus.NewRegistry()
	registry.MustRegister(w.controller.Collectors()...)
	err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP viaduct_checks_addresses Checked addresses, by state
# TYPE viaduct_checks_addresses gauge
viaduct_checks_addresses{state="down"} 1
viaduct_checks_addresses{state="up"} 1
`), "viaduct_checks_addresses")
	if err != nil {
		t.Error(err)
	}
	w.wait("the metrics", func(o metav1.ListOptions) (watch.Interface, error) {
		return w.client.DiscoveryV1().EndpointSlices("default").Watch(t.Context(), o)
	}, func() string {
		families, err := registry.Gather()
		if err != nil {
			return err.Error()
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "viaduct_endpoints" && m.GetLabel()[0].GetValue() == "CheckFailed" {
					return fmt.Sprint(m.GetGauge().GetValue())
				}
			}
		}
		return "none"
	}, "1")
	w.stop()
	if n, err := testutil.GatherAndCount(registry, "viaduct_checks_addresses"); n != 0 || err != nil {
		t.Errorf("while it does not work, %d are told of, %v", n, err)
	}
}
