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

	"viaduct/internal/routing"
)

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
	if got := receive(t, s.applied); !slices.Equal(got, []routing.Name{name("a"), name("b")}) {
		t.Errorf("OnApplied was told %v", got)
	}

	s.createSlice(slice("b-1", "b", "10.1.0.2"))
	c := s.next()
	if !slices.Equal(c.changed, []routing.Name{name("b")}) {
		t.Errorf("changed: %v", c.changed)
	}
	receive(t, s.applied)
	if got := backendsOf(s.proxy.Applied(), "10.0.0.2"); !slices.Equal(got, []string{"10.1.0.2:8080 true"}) {
		t.Errorf("Applied has %v for b", got)
	}

	s.must(s.client.CoreV1().Services("shop").Delete(t.Context(), "a", metav1.DeleteOptions{}))
	c = s.next()
	if got := backendsOf(c.table, "10.0.0.1"); got[0] != "nothing there" || !slices.Equal(c.changed,
		[]routing.Name{name("a")}) {
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
	if c := s.next(); !slices.Equal(c.changed, []routing.Name{name("b")}) {
		t.Errorf("changed: %v, want only b", c.changed)
	}
}

func TestASliceThatChangesItsService(t *testing.T) {
	s := newStage(t, service("a", "10.0.0.1", 0), service("b", "10.0.0.2", 0))
	s.createSlice(slice("x", "a", "10.1.0.1"))
	s.run()
	s.next()
	_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(t.Context(), slice("x", "b", "10.1.0.1"),
		metav1.UpdateOptions{})
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
		return errors.Join(&routing.FrontendError{Key: routing.Key{Kind: routing.ClusterIP,
			Addr: netip.MustParseAddr("10.0.0.1"), Port: 80, Proto: routing.TCP},
			Service: routing.Name{Namespace: "shop", Name: "a", Port: "http"}, Err: cause})
	}
	for range 4 {
		s.backend.answers <- fail(syscall.EACCES)
	}
	s.run()
	s.next()
	if got := receive(t, s.applied); !slices.Equal(got, []routing.Name{name("a"), name("b")}) {
		t.Errorf("OnApplied was told %v", got)
	}
	for range 4 {
		if c := s.next(); !slices.Equal(c.changed, []routing.Name{name("a")}) {
			t.Errorf("tried again: %v, want only a", c.changed)
		}
	}
	if text := s.event("a", PortNotBound); !strings.Contains(text, "ip_unprivileged_port_start=80") {
		t.Errorf("the Event says %q", text)
	}
	if got := receive(t, s.applied); !slices.Equal(got, []routing.Name{name("a")}) {
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
	if c := s.next(); !slices.Equal(c.changed, []routing.Name{name("new"), name("old")}) {
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
	f := func(err error, p routing.Proto) *routing.FrontendError {
		return &routing.FrontendError{Key: routing.Key{Kind: routing.ClusterIP, Addr: netip.MustParseAddr("127.96.0.1"),
			Port: 53, Proto: p}, Err: fmt.Errorf("bind: %w", err)}
	}
	for _, c := range []struct {
		err  *routing.FrontendError
		want string
	}{
		{f(syscall.EACCES, routing.TCP), "setcap cap_net_bind_service=+ep"},
		{f(syscall.EADDRINUSE, routing.TCP), "ss -ltnp 'sport = :53'"},
		{f(syscall.EADDRINUSE, routing.UDP), "ss -lunp 'sport = :53'"},
		{f(syscall.EADDRNOTAVAIL, routing.TCP), "127.96.0.1 is not an address of this host"},
		{f(syscall.EMFILE, routing.TCP), "ulimit -n"},
		{f(errors.ErrUnsupported, routing.SCTP), "cannot do that"},
		{f(errors.New("odd"), routing.TCP), "tried again"},
	} {
		if p := bindProblem(c.err); p.reason != PortNotBound || !strings.Contains(p.text, c.want) || !strings.Contains(p.text,
			c.err.Err.Error()) {
			t.Errorf("%v: %q lacks %q", c.err.Err, p.text, c.want)
		}
	}
}
