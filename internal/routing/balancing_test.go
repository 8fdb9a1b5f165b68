package routing

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/annotations"
)

// balanced is a Service with the annotations and a slice with others, of one ready endpoint for each address.
func balanced(svcNotes, sliceNotes map[string]string, addrs ...string) (*v1.Service, *discovery.EndpointSlice) {
	port := int32(8080)
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: svcNotes},
		Spec: v1.ServiceSpec{ClusterIP: "10.96.0.10", Ports: []v1.ServicePort{{Port: 80}}}}
	s := &discovery.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "web-1", Annotations: sliceNotes},
		AddressType: discovery.AddressTypeIPv4, Ports: []discovery.EndpointPort{{Name: new(string), Port: &port}}}
	for _, a := range addrs {
		s.Endpoints = append(s.Endpoints, discovery.Endpoint{Addresses: []string{a}})
	}
	return svc, s
}

func frontendOf(svc *v1.Service, s *discovery.EndpointSlice) Frontend {
	return Frontends(Node{}, svc, []*discovery.EndpointSlice{s})[0]
}

func weightsOf(p Pool) (list []uint32) {
	for _, b := range p.Backends {
		list = append(list, b.Weight)
	}
	return list
}

func TestWeightsOfASlice(t *testing.T) {
	for _, tt := range []struct {
		notes   map[string]string
		weights []uint32
		why     Reason
		serving int // endpoints that keep the connections they have, and get no others
	}{
		{nil, []uint32{1, 1, 1}, All, 0},
		{map[string]string{annotations.Weight: "7"}, []uint32{7, 7, 7}, All, 0},
		{map[string]string{annotations.Weights: "10.0.0.2=3"}, []uint32{1, 3, 1}, All, 0},
		{map[string]string{annotations.Weights: "10.0.0.2=3,10.0.0.1=0"}, []uint32{3, 1}, All, 1},
		{map[string]string{annotations.Weight: "0", annotations.Weights: "10.0.0.3=2"}, []uint32{2}, All, 2},
		{map[string]string{annotations.Weight: "0"}, nil, Drained, 3},
		{map[string]string{annotations.Weight: "much"}, []uint32{1, 1, 1}, All, 0},
	} {
		f := frontendOf(balanced(nil, tt.notes, "10.0.0.1", "10.0.0.2", "10.0.0.3"))
		if !slices.Equal(weightsOf(f.Inside), tt.weights) || f.Inside.Why != tt.why || len(f.Serving) != tt.serving {
			t.Errorf("%v: %+v, serving %v; want %v because of %s", tt.notes, f.Inside, f.Serving, tt.weights, tt.why)
		}
	}
}

func TestSlowStart(t *testing.T) {
	start := time.Unix(1764280000, 0)
	svc, s := balanced(map[string]string{annotations.SlowStart: "100s"},
		map[string]string{annotations.Weights: "10.0.0.1=3",
			annotations.ReadySince: "10.0.0.1=1764270000,10.0.0.2=1764280000"},
		"10.0.0.1", "10.0.0.2", "10.0.0.3")
	f := frontendOf(svc, s)
	for _, tt := range []struct {
		after   time.Duration
		weights []uint32
		next    time.Duration // 0: none
	}{
		{-time.Hour, []uint32{30, 1, 10}, 10 * time.Second}, // the clock of this node is behind
		{0, []uint32{30, 1, 10}, 10 * time.Second},
		{9 * time.Second, []uint32{30, 1, 10}, 10 * time.Second},
		{10 * time.Second, []uint32{30, 2, 10}, 20 * time.Second},
		{55 * time.Second, []uint32{30, 6, 10}, 60 * time.Second},
		{90 * time.Second, []uint32{3, 1, 1}, 0},
		{time.Hour, []uint32{3, 1, 1}, 0},
	} {
		now := start.Add(tt.after)
		next, ramping := f.NextStep(now)
		if !slices.Equal(weightsOf(f.At(now).Inside), tt.weights) || ramping != (tt.next != 0) ||
			ramping && !next.Equal(start.Add(tt.next)) {
			t.Errorf("after %s the weights are %v, the next step at %v; want %v, %v", tt.after, weightsOf(f.At(now).Inside),
				next.Sub(start), tt.weights, tt.next)
		}
	}
	if again := frontendOf(svc, s); !again.Equal(f) {
		t.Error("At changed the Frontend")
	}
}

// A Service without a slow start does not differ for what its slices say of times.
func TestTimesWithoutASlowStart(t *testing.T) {
	timed := frontendOf(balanced(nil, map[string]string{annotations.ReadySince: "10.0.0.1=1764270000"}, "10.0.0.1"))
	if !timed.Equal(frontendOf(balanced(nil, nil, "10.0.0.1"))) {
		t.Errorf("%+v", timed)
	}
}

func TestInvalidBalancing(t *testing.T) {
	svc, s := balanced(map[string]string{annotations.Policy: "fastest", annotations.SlowStart: "1"},
		map[string]string{annotations.Weights: "10.0.0.1"}, "10.0.0.1")
	list := InvalidBalancing(svc, []*discovery.EndpointSlice{s, s})
	if len(list) != 3 || !strings.HasPrefix(list[0], "EndpointSlice web-1: metadata.annotations[viaduct.dev/weights]") {
		t.Errorf("%q", list)
	}
	svc, s = balanced(nil, nil, "10.0.0.1")
	if list := InvalidBalancing(svc, []*discovery.EndpointSlice{s}); list != nil {
		t.Errorf("without annotations: %q", list)
	}
}

func TestWithoutSlowStart(t *testing.T) {
	asks := map[string]string{annotations.SlowStart: "30s"}
	says := map[string]string{annotations.ReadySince: "10.0.0.1=1764270000"}
	for _, tt := range []struct {
		svc, slice map[string]string
		want       int
	}{{nil, nil, 0}, {asks, nil, 1}, {asks, says, 0}, {nil, says, 0}} {
		svc, s := balanced(tt.svc, tt.slice, "10.0.0.1")
		if got := WithoutSlowStart(svc, []*discovery.EndpointSlice{s}); len(got) != tt.want {
			t.Errorf("%v, %v: %v", tt.svc, tt.slice, got)
		}
	}
}

func TestADrainedEndpointIsNotCountedForLoadBalancers(t *testing.T) {
	svc, s := balanced(nil, map[string]string{annotations.Weights: "10.0.0.1=0"}, "10.0.0.1", "10.0.0.2")
	svc.Spec.Type, svc.Spec.ExternalTrafficPolicy = v1.ServiceTypeLoadBalancer, v1.ServiceExternalTrafficPolicyLocal
	svc.Spec.HealthCheckNodePort = 30000
	node := "here"
	for i := range s.Endpoints {
		s.Endpoints[i].NodeName = &node
	}
	check, ok := HealthCheckOf(Node{Name: node}, svc, []*discovery.EndpointSlice{s})
	if !ok || check.Local != 1 {
		t.Errorf("%+v, %v; want 1 endpoint", check, ok)
	}
}

// The picks of each policy, for what they promise; the proxies are measured by package proxytest.
func TestPickInTurn(t *testing.T) {
	k := NewPicker(poolWith(2, 1, 1), RoundRobin)
	got := map[netip.AddrPort]int{}
	for turn := range uint64(12) {
		b, _ := k.Pick(Draw{Turn: turn})
		got[b.Addr]++
	}
	for i, b := range poolWith(2, 1, 1).Backends {
		if want := []int{6, 3, 3}[i]; got[b.Addr] != want {
			t.Errorf("%s was picked %d times of 12, want %d", b.Addr, got[b.Addr], want)
		}
	}
}

func TestPickByHash(t *testing.T) {
	p := poolWith(1, 1, 1)
	k := NewPicker(p, SourceHash)
	client := netip.MustParseAddr("192.0.2.7")
	home, _ := k.Pick(Draw{Client: client, Random: 1})
	again, _ := k.Pick(Draw{Client: netip.MustParseAddr("::ffff:192.0.2.7"), Random: 1 << 60})
	if home != again {
		t.Errorf("a client goes to %v and to %v", home, again)
	}
	other, ok := k.PickOther(Draw{Client: client}, func(b Backend) bool { return b == home })
	third, more := k.PickOther(Draw{Client: client}, func(b Backend) bool { return b == home || b == other })
	if !ok || !more || other == home || third == home || third == other {
		t.Errorf("second tries go to %v and %v", other, third)
	}
	if b, ok := k.PickOther(Draw{Client: client}, func(Backend) bool { return true }); ok {
		t.Errorf("picked %v when all are skipped", b)
	}
	if _, ok := k.Pick(Draw{}); !ok {
		t.Error("a client without an address is not served")
	}
}

func TestPickTheLeastLoaded(t *testing.T) {
	open := []int64{5, 2, 2, 9}
	count := func(i int) int64 { return open[i] }
	k := NewPicker(poolWith(1, 1, 1, 1), LeastConnections)
	for random, want := range map[uint64]int{0: 1, 1 << 63: 2} {
		if b, _ := k.Pick(Draw{Open: count, Random: random}); b != k.backends[want] {
			t.Errorf("random %d: picked %v, want %v", random, b, k.backends[want])
		}
	}
	if b, _ := NewPicker(poolWith(1, 1, 1, 10), LeastConnections).Pick(Draw{Open: count}); b.Weight != 10 {
		t.Errorf("picked %v, and the heavy one has the fewest for its weight", b)
	}
	if b, _ := NewPicker(poolWith(0, 1, 0, 0), LeastConnections).Pick(Draw{Open: count}); b.Weight != 1 {
		t.Errorf("picked %v of weight 0", b)
	}
	other, ok := k.PickOther(Draw{Open: count}, func(b Backend) bool { return b == k.backends[1] || b == k.backends[2] })
	if !ok || other != k.backends[0] {
		t.Errorf("among the others picked %v", other)
	}
	// Each pick taken, the loads become even.
	even := make([]int64, 4)
	for range 40 {
		i, _ := k.index(Draw{Open: func(i int) int64 { return even[i] }, Random: 1 << 62})
		even[i]++
	}
	if !slices.Equal(even, []int64{10, 10, 10, 10}) {
		t.Errorf("40 connections are spread as %v", even)
	}
}
