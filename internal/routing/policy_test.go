package routing

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/annotations"
)

func poolWith(weights ...uint32) Pool {
	var p Pool
	for i, w := range weights {
		p.Backends = append(p.Backends, Backend{Addr: netip.MustParseAddrPort(fmt.Sprintf("10.1.0.%d:80", i)), Weight: w})
	}
	return p
}

func TestPicksFollowTheWeights(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, weights := range [][]uint32{{1}, {1, 1, 1, 1}, {1, 2, 3}, {0, 5, 0}, {0, 0}, {7, 0, 1}} {
		k, total := NewPicker(poolWith(weights...), Random), uint32(0)
		for _, w := range weights {
			total += w
		}
		got := map[Backend]int{}
		const n = 40000
		for range n {
			b, ok := k.Pick(Draw{Random: r.Uint64()})
			if !ok {
				t.Fatal("nothing picked")
			}
			got[b]++
		}
		for i, b := range poolWith(weights...).Backends {
			want := float64(n) / float64(len(weights))
			if total > 0 {
				want = n * float64(weights[i]) / float64(total)
			}
			if d := float64(got[b]) - want; d > n/50 || d < -n/50 {
				t.Errorf("weights %v: %s picked %d times, want about %.0f", weights, b.Addr, got[b], want)
			}
		}
	}
}

func TestPickAtTheEdges(t *testing.T) {
	if _, ok := NewPicker(Pool{}, Random).Pick(Draw{}); ok {
		t.Error("picked from nothing")
	}
	p := poolWith(1, 2, 3)
	for random, want := range map[uint64]int{0: 0, ^uint64(0): 2} {
		if b, _ := NewPicker(p, Random).Pick(Draw{Random: random}); b != p.Backends[want] {
			t.Errorf("Pick(%d) = %v", random, b)
		}
	}
}

func TestPickOtherTriesEachOnce(t *testing.T) {
	p := poolWith(1, 2, 3, 0)
	tried := map[Backend]bool{}
	k := NewPicker(p, Random)
	for range p.Backends {
		b, ok := k.PickOther(Draw{Random: 1 << 63}, func(b Backend) bool { return tried[b] })
		if !ok || tried[b] {
			t.Fatalf("picked %v, %v after %v", b, ok, tried)
		}
		tried[b] = true
	}
	if b, ok := k.PickOther(Draw{}, func(b Backend) bool { return tried[b] }); ok || k.Len() != 4 {
		t.Errorf("picked %v when all had been tried", b)
	}
}

func TestSplit(t *testing.T) {
	one := &FrontendError{Service: Name{"a", "b", ""}, Err: io.EOF}
	two := &FrontendError{Service: Name{"a", "c", ""}, Err: io.ErrNoProgress}
	other := errors.New("other")
	fs, rest := Split(errors.Join(one, errors.Join(other, two)))
	if len(fs) != 2 || fs[0] != one || fs[1] != two || len(rest) != 1 || rest[0] != other {
		t.Errorf("%v; %v", fs, rest)
	}
	if fs, rest := Split(nil); fs != nil || rest != nil {
		t.Error("nil has parts")
	}
	if fs, rest := Split(one); len(fs) != 1 || rest != nil || !errors.Is(one, io.EOF) {
		t.Error("one alone is not itself")
	}
}

// The annotation leads to the Frontend; what cannot be read counts as not written.
func TestPolicyOfAService(t *testing.T) {
	for value, want := range map[string]Policy{"": Random, "random": Random, "round-robin": RoundRobin,
		"source-hash": SourceHash, "least-connections": LeastConnections, "Round-Robin": Random} {
		svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotations.Policy: value}},
			Spec: v1.ServiceSpec{ClusterIP: "10.96.0.10", Ports: []v1.ServicePort{{Port: 80}}}}
		f := Frontends(Node{}, svc, nil)
		if len(f) != 1 || f[0].Policy != want {
			t.Errorf("%q: %+v, want %s", value, f, want)
		}
	}
}
