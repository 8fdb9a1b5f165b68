package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"viaduct/internal/loop"
	"viaduct/internal/table"
)

const patience = 10 * time.Second

// call is one Sync the recorder saw.
type call struct {
	table   *table.Table
	changed []table.Name
}

// recorder is a Backend that hands every Sync to the test and answers what the test says.
type recorder struct {
	calls   chan call
	answers chan error // one for each call, if any are there
}

func newRecorder() *recorder {
	return &recorder{calls: make(chan call), answers: make(chan error, 10)}
}

func (r *recorder) Sync(ctx context.Context, t *table.Table, changed []table.Name) error {
	select {
	case r.calls <- call{t, changed}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.answers:
		return err
	default:
		return nil
	}
}

func (r *recorder) Close() error { return nil }

// stage is a Proxy that runs against a fake API.
type stage struct {
	*testing.T
	client  *fake.Clientset
	backend *recorder
	proxy   *Proxy
	applied chan []table.Name
}

func newStage(t *testing.T, objs ...*v1.Service) *stage {
	s := &stage{T: t, client: fake.NewClientset(), backend: newRecorder(), applied: make(chan []table.Name, 100)}
	for _, o := range objs {
		s.create(o)
	}
	return s
}

// run starts the Proxy and ends it with the test.
func (s *stage) run() {
	s.Helper()
	s.proxy = New(s.client, Options{
		NodeName: "here", Backend: s.backend, OnApplied: func(n []table.Name) { s.applied <- n },
		Loop: loop.Options{FirstRetry: time.Millisecond, LastRetry: time.Millisecond},
	})
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan error, 1)
	go func() { done <- s.proxy.Run(ctx) }()
	s.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.Errorf("Run: %v", err)
		}
	})
}

func (s *stage) create(svc *v1.Service) {
	s.Helper()
	_, err := s.client.CoreV1().Services(svc.Namespace).Create(s.Context(), svc, metav1.CreateOptions{})
	s.must(err)
}

func (s *stage) update(svc *v1.Service) {
	s.Helper()
	_, err := s.client.CoreV1().Services(svc.Namespace).Update(s.Context(), svc, metav1.UpdateOptions{})
	s.must(err)
}

func (s *stage) createSlice(sl *discovery.EndpointSlice) {
	s.Helper()
	_, err := s.client.DiscoveryV1().EndpointSlices(sl.Namespace).Create(s.Context(), sl, metav1.CreateOptions{})
	s.must(err)
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// next is the next Sync.
func (s *stage) next() call {
	s.Helper()
	return receive(s.T, s.backend.calls)
}

// until is the next Sync for which ok holds.
func (s *stage) until(ok func(call) bool) call {
	s.Helper()
	for range 100 {
		if c := s.next(); ok(c) {
			return c
		}
	}
	s.Fatal("a hundred times not what was waited for")
	return call{}
}

// event waits for an Event of the reason on the Service.
func (s *stage) event(svc, reason string) string {
	s.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		w, err := s.client.CoreV1().Events("shop").Watch(s.Context(), metav1.ListOptions{})
		s.must(err)
		list, err := s.client.CoreV1().Events("shop").List(s.Context(), metav1.ListOptions{})
		s.must(err)
		at := slices.IndexFunc(list.Items, func(e v1.Event) bool { return e.Reason == reason && e.InvolvedObject.Name == svc })
		if at >= 0 {
			w.Stop()
			return list.Items[at].Message
		}
		select { // for news since the list
		case <-w.ResultChan():
		case <-time.After(patience):
		}
		w.Stop()
	}
	s.Fatalf("no Event %s on %s", reason, svc)
	return ""
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("waited in vain")
		panic("not reached")
	}
}

func service(name, ip string, age time.Duration) *v1.Service {
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: metav1.NewTime(time.Unix(2e9, 0).Add(-age))},
		Spec:       v1.ServiceSpec{ClusterIP: ip, ClusterIPs: []string{ip}, Ports: []v1.ServicePort{{Name: "http", Port: 80, Protocol: v1.ProtocolTCP}}},
	}
}

func slice(name, svc string, addrs ...string) *discovery.EndpointSlice {
	port, portName := int32(8080), "http"
	s := &discovery.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{discovery.LabelServiceName: svc}},
		AddressType: discovery.AddressTypeIPv4,
		Ports:       []discovery.EndpointPort{{Name: &portName, Port: &port}},
	}
	here := "here"
	for _, a := range addrs {
		s.Endpoints = append(s.Endpoints, discovery.Endpoint{Addresses: []string{a}, NodeName: &here})
	}
	return s
}

func name(n string) table.Name { return table.Name{Namespace: "shop", Name: n} }

// backendsOf lists who serves the place ip:80.
func backendsOf(t *table.Table, ip string) []string {
	_, pool, ok := t.Lookup(table.Origin{}, netip.AddrPortFrom(netip.MustParseAddr(ip), 80), table.TCP)
	if !ok {
		return []string{"nothing there"}
	}
	out := []string{}
	for _, b := range pool.Backends {
		out = append(out, fmt.Sprint(b.Addr, " ", b.Local))
	}
	return out
}

func TestFirstEverythingThenWhatChanged(t *testing.T) {
	s := newStage(t, service("a", "10.0.0.1", 0), service("b", "10.0.0.2", 0))
	s.createSlice(slice("a-1", "a", "10.1.0.1"))
	s.run()

	first := s.next()
	if first.changed != nil {
		t.Errorf("the first time %v changed, want nil: all", first.changed)
	}
	if got := backendsOf(first.table, "10.0.0.1"); !slices.Equal(got, []string{"10.1.0.1:8080 true"}) {
		t.Errorf("a has %v", got)
	}
	if got := receive(t, s.applied); !slices.Equal(got, []table.Name{name("a"), name("b")}) {
		t.Errorf("OnApplied was told %v", got)
	}

	s.createSlice(slice("b-1", "b", "10.1.0.2"))
	c := s.next()
	if !slices.Equal(c.changed, []table.Name{name("b")}) {
		t.Errorf("changed: %v", c.changed)
	}
	receive(t, s.applied)
	if got := backendsOf(s.proxy.Applied(), "10.0.0.2"); !slices.Equal(got, []string{"10.1.0.2:8080 true"}) {
		t.Errorf("Applied has %v for b", got)
	}

	s.must(s.client.CoreV1().Services("shop").Delete(t.Context(), "a", metav1.DeleteOptions{}))
	c = s.next()
	if got := backendsOf(c.table, "10.0.0.1"); got[0] != "nothing there" || !slices.Equal(c.changed, []table.Name{name("a")}) {
		t.Errorf("after its deletion a has %v; changed: %v", got, c.changed)
	}
}

// What changes nothing for the traffic must not reach the Backend.
func TestWhatDoesNotMatterCostsNothing(t *testing.T) {
	s := newStage(t, service("a", "10.0.0.1", 0))
	s.run()
	s.next()
	svc := service("a", "10.0.0.1", 0)
	svc.Annotations = map[string]string{"note": "new"}
	s.update(svc)
	empty := slice("a-0", "a")
	s.createSlice(empty)
	s.createSlice(slice("none", "no-such-service", "10.1.0.9"))
	s.create(service("b", "10.0.0.2", 0)) // this does matter, and comes last
	if c := s.next(); !slices.Equal(c.changed, []table.Name{name("b")}) {
		t.Errorf("changed: %v, want only b", c.changed)
	}
}

func TestASliceThatChangesItsService(t *testing.T) {
	s := newStage(t, service("a", "10.0.0.1", 0), service("b", "10.0.0.2", 0))
	s.createSlice(slice("x", "a", "10.1.0.1"))
	s.run()
	s.next()
	_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(t.Context(), slice("x", "b", "10.1.0.1"), metav1.UpdateOptions{})
	s.must(err)
	s.until(func(c call) bool {
		return len(backendsOf(c.table, "10.0.0.1")) == 0 && len(backendsOf(c.table, "10.0.0.2")) == 1
	})
}

func TestTheNodeDecidesWhatIsNear(t *testing.T) {
	s := newStage(t, service("a", "10.0.0.1", 0))
	sl := slice("a-1", "a", "10.1.0.1", "10.1.0.2")
	sl.Endpoints[0].Hints = &discovery.EndpointHints{ForZones: []discovery.ForZone{{Name: "z1"}}}
	sl.Endpoints[1].Hints = &discovery.EndpointHints{ForZones: []discovery.ForZone{{Name: "z2"}}}
	s.createSlice(sl)
	s.run()
	if c := s.next(); len(backendsOf(c.table, "10.0.0.1")) != 2 {
		t.Errorf("without a Node: %v", backendsOf(c.table, "10.0.0.1"))
	}
	node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here", Labels: map[string]string{v1.LabelTopologyZone: "z2"}}}
	_, err := s.client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{})
	s.must(err)
	if got := backendsOf(s.next().table, "10.0.0.1"); !slices.Equal(got, []string{"10.1.0.2:8080 true"}) {
		t.Errorf("in zone z2: %v", got)
	}
}

func TestAfterAnErrorEverythingIsApplied(t *testing.T) {
	s := newStage(t, service("a", "10.0.0.1", 0))
	s.run()
	s.next()
	s.backend.answers <- errors.New("the kernel is busy")
	s.create(service("b", "10.0.0.2", 0))
	// Either the error met the first Sync or that of b; both ways a Sync of everything follows.
	c := s.until(func(c call) bool { return c.changed == nil })
	if len(backendsOf(c.table, "10.0.0.1")) != 0 {
		t.Error("a is not in the table")
	}
}

func TestAFrontendThatFailsIsToldOnceAndTriedAgain(t *testing.T) {
	s := newStage(t, service("a", "10.0.0.1", 0), service("b", "10.0.0.2", 0))
	fail := func(cause error) error {
		return errors.Join(&table.FrontendError{Key: table.Key{Kind: table.ClusterIP, Addr: netip.MustParseAddr("10.0.0.1"), Port: 80, Proto: table.TCP},
			Service: table.Name{Namespace: "shop", Name: "a", Port: "http"}, Err: cause})
	}
	for range 4 {
		s.backend.answers <- fail(syscall.EACCES)
	}
	s.run()
	s.next()
	if got := receive(t, s.applied); !slices.Equal(got, []table.Name{name("a"), name("b")}) {
		t.Errorf("OnApplied was told %v", got)
	}
	for range 4 {
		if c := s.next(); !slices.Equal(c.changed, []table.Name{name("a")}) {
			t.Errorf("tried again: %v, want only a", c.changed)
		}
	}
	if text := s.event("a", PortNotBound); !strings.Contains(text, "ip_unprivileged_port_start=80") {
		t.Errorf("the Event says %q", text)
	}
	if got := receive(t, s.applied); !slices.Equal(got, []table.Name{name("a")}) {
		t.Errorf("when a was served at last OnApplied was told %v", got)
	}
	list, err := s.client.CoreV1().Events("shop").List(t.Context(), metav1.ListOptions{})
	s.must(err)
	if len(list.Items) != 1 || list.Items[0].Count != 1 {
		t.Errorf("%d Events for one cause", len(list.Items))
	}
}

func TestTwoServicesThatClaimOneAddress(t *testing.T) {
	s := newStage(t, service("old", "10.0.0.1", time.Hour))
	s.run()
	s.next()
	s.create(service("new", "10.0.0.1", 0))
	if text := s.event("new", AddressConflict); !strings.Contains(text, "shop/old:http") {
		t.Errorf("the Event says %q", text)
	}
	s.must(s.client.CoreV1().Services("shop").Delete(t.Context(), "old", metav1.DeleteOptions{}))
	if c := s.next(); !slices.Equal(c.changed, []table.Name{name("new"), name("old")}) {
		t.Errorf("changed: %v", c.changed)
	}
}

func TestNothingBeforeEverythingIsKnown(t *testing.T) {
	s := newStage(t)
	p := New(s.client, Options{NodeName: "here", Backend: s.backend})
	if p.Applied() == nil || p.Applied().All() != nil {
		t.Error("before Run the applied table is not the empty one")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Error("Run with a context that is over:", err)
	}
}

func TestAdvice(t *testing.T) {
	f := func(err error, p table.Proto) *table.FrontendError {
		return &table.FrontendError{Key: table.Key{Kind: table.ClusterIP, Addr: netip.MustParseAddr("127.96.0.1"), Port: 53, Proto: p}, Err: fmt.Errorf("bind: %w", err)}
	}
	for _, c := range []struct {
		err  *table.FrontendError
		want string
	}{
		{f(syscall.EACCES, table.TCP), "setcap cap_net_bind_service=+ep"},
		{f(syscall.EADDRINUSE, table.TCP), "ss -ltnp 'sport = :53'"},
		{f(syscall.EADDRINUSE, table.UDP), "ss -lunp 'sport = :53'"},
		{f(syscall.EADDRNOTAVAIL, table.TCP), "127.96.0.1 is not an address of this host"},
		{f(syscall.EMFILE, table.TCP), "ulimit -n"},
		{f(errors.ErrUnsupported, table.SCTP), "cannot do that"},
		{f(errors.New("odd"), table.TCP), "tried again"},
	} {
		if p := bindProblem(c.err); p.reason != PortNotBound || !strings.Contains(p.text, c.want) || !strings.Contains(p.text, c.err.Err.Error()) {
			t.Errorf("%v: %q lacks %q", c.err.Err, p.text, c.want)
		}
	}
}
