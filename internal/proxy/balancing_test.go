package proxy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/annotations"
	"viaduct/internal/routing"
)

// annotated is a Service with an annotation.
func annotated(svc *v1.Service, key, value string) *v1.Service {
	if svc.Annotations == nil {
		svc.Annotations = map[string]string{}
	}
	svc.Annotations[key] = value
	return svc
}

// weightsAt are the weights of the endpoints behind ip:80, in the order of their addresses.
func weightsAt(t *routing.Table, ip string) (list [2]uint32) {
	_, pool, _ := t.Lookup(routing.Origin{}, netip.AddrPortFrom(netip.MustParseAddr(ip), 80), routing.TCP)
	for i, b := range pool.Backends {
		list[i] = b.Weight
	}
	return list
}

// The Backend gets the weights of a slow start step by step, and in the end the plain ones, without any change of the
// API.
func TestSlowStartIsAppliedInSteps(t *testing.T) {
	s := newStage(t, annotated(service("a", "10.0.0.1", 0), annotations.SlowStart, "1s"))
	sl := slice("a-1", "a", "10.1.0.1", "10.1.0.2")
	sl.Annotations = map[string]string{annotations.ReadySince: annotations.FormatReadySince(map[netip.Addr]int64{
		netip.MustParseAddr("10.1.0.1"): 1, netip.MustParseAddr("10.1.0.2"): time.Now().Unix() + 1})}
	s.createSlice(sl)
	s.run()
	last := weightsAt(s.next().table, "10.0.0.1")
	if last != [2]uint32{10, 1} {
		t.Fatalf("at first the weights are %v, want 10 and 1", last)
	}
	receive(t, s.applied)
	for last != [2]uint32{1, 1} {
		now := weightsAt(s.next().table, "10.0.0.1")
		if now != [2]uint32{1, 1} && (now[0] != 10 || now[1] < last[1]) {
			t.Fatalf("after %v the weights are %v", last, now)
		}
		last = now
	}
	if got := weightsAt(s.proxy.Applied(), "10.0.0.1"); got != [2]uint32{1, 1} {
		t.Errorf("Applied has the weights %v", got)
	}
	select {
	case names := <-s.applied:
		t.Errorf("OnApplied was called for %v, and nothing changed in the API", names)
	default:
	}
}

// randomOnly is a recorder that serves one policy.
type randomOnly struct{ *recorder }

func (randomOnly) Unserved(p routing.Policy) string {
	if p == routing.LeastConnections {
		return "it does not count"
	}
	return ""
}

func TestAPolicyThatIsNotServed(t *testing.T) {
	s := newStage(t, annotated(service("a", "10.0.0.1", 0), annotations.Policy, annotations.LeastConnections),
		annotated(annotated(service("b", "10.0.0.2", 0), annotations.Policy, "fastest"), annotations.SlowStart, "30s"))
	s.createSlice(slice("a-1", "a", "10.1.0.1"))
	s.createSlice(slice("b-1", "b", "10.1.0.1"))
	s.backendIs = func(r *recorder) Backend { return randomOnly{r} }
	s.run()
	s.next()
	receive(t, s.applied)
	const want = "the policy least-connections is not served on this node, because it does not count; connections are " +
		"spread at random"
	if text := s.event("a", PolicyNotServed); text != want {
		t.Errorf("the Event says %q", text)
	}
	if text := s.event("b", InvalidAnnotation); !strings.Contains(text, "must be one of random, round-robin") {
		t.Errorf("the Event says %q", text)
	}
	if state, _ := s.proxy.State(name("b")); len(state.Problems) != 2 || !strings.Contains(state.Problems[1], "b-1") {
		t.Errorf("State has the problems %q", state.Problems)
	}
	trace := s.proxy.Trace(netip.Addr{}, netip.MustParseAddrPort("10.0.0.1:80"), routing.TCP)
	if trace.Policy != routing.Random || trace.Frontend.Policy != routing.LeastConnections || trace.Degraded == "" {
		t.Errorf("Trace is %+v", trace)
	}
}

func TestTraceSaysTheChoice(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.1")
	pool := func(weights ...uint32) (p routing.Pool) {
		for i, w := range weights {
			at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), 80)
			p.Backends = append(p.Backends, routing.Backend{Addr: at, Weight: w})
		}
		return p
	}
	for _, tt := range []struct {
		policy routing.Policy
		pool   routing.Pool
		says   string
		share  string
	}{
		{routing.Random, pool(2, 2), "It goes to one of these, each with the same chance", ""},
		{routing.Random, pool(3, 1), "It goes to one of these", "weight 3 of 4"},
		{routing.RoundRobin, pool(1, 1), "It goes to one of these", ""},
		{routing.SourceHash, pool(1), "It goes to 10.1.0.0:80, one of these", ""},
	} {
		trace := Trace{Policy: tt.policy, Pool: tt.pool}
		share := strings.Join(trace.Share(tt.pool.Backends[0]), ", ")
		if got := trace.Choice(client); got != tt.says || share != tt.share {
			t.Errorf("%s: %q, %q; want %q, %q", tt.policy, got, share, tt.says, tt.share)
		}
	}
}
