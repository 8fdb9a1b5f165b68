package routing

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

// randomSlices makes slices whose endpoints overlap, in all states there are.
func randomSlices(r *rand.Rand) []*discovery.EndpointSlice {
	states := []string{"", "r", "rs", "s", "st", "t", "rst", "rsl", "stl", "sl", "l"}
	var out []*discovery.EndpointSlice
	for range r.IntN(5) {
		s := slice()
		s.Ports[0].Port = ptr(int32(8080 + r.IntN(2)))
		for range r.IntN(6) {
			e := ep(fmt.Sprintf("10.1.0.%d", r.IntN(6)), states[r.IntN(len(states))])
			if r.IntN(3) > 0 {
				e = hint(e, []string{"", "here", "other"}[r.IntN(3)], []string{"", "z1", "z2"}[r.IntN(3)])
			}
			s.Endpoints = append(s.Endpoints, e)
		}
		out = append(out, s)
	}
	return out
}

func randomService(r *rand.Rand) *v1.Service {
	return service(func(s *v1.Service) {
		s.Spec.ClusterIP = fmt.Sprintf("10.0.0.%d", r.IntN(8))
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
		s.Spec.ExternalIPs = []string{"203.0.113.1", "10.0.0.2"}[:r.IntN(3)]
		if r.IntN(2) == 0 {
			s.Spec.InternalTrafficPolicy = ptr(v1.ServiceInternalTrafficPolicyLocal)
		}
		if r.IntN(2) == 0 {
			s.Spec.ExternalTrafficPolicy = v1.ServiceExternalTrafficPolicyLocal
		}
		if r.IntN(2) == 0 {
			s.Spec.Ports[0].NodePort = int32(30000 + r.IntN(3))
		}
	})
}

func shuffled(r *rand.Rand, in []*discovery.EndpointSlice) []*discovery.EndpointSlice {
	var out []*discovery.EndpointSlice
	for _, i := range r.Perm(len(in)) {
		s := in[i].DeepCopy()
		r.Shuffle(len(s.Endpoints), func(a, b int) { s.Endpoints[a], s.Endpoints[b] = s.Endpoints[b], s.Endpoints[a] })
		out = append(out, s)
	}
	return out
}

func TestOrderOfSlicesLeavesNoTrace(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		svc, in := randomService(r), randomSlices(r)
		one, two := Frontends(here, svc, in), Frontends(here, svc, shuffled(r, in))
		if !slices.EqualFunc(one, two, Frontend.Equal) {
			t.Fatal(cmp.Diff(one, two, netipOptions))
		}
		checkFrontends(t, one)
	}
}

// checkFrontends holds what is true of every list of Frontends.
func checkFrontends(t *testing.T, list []Frontend) {
	t.Helper()
	if !slices.IsSortedFunc(list, func(a, b Frontend) int { return a.Key.Compare(b.Key) }) {
		t.Fatal("not sorted:", list)
	}
	seen := map[Dest]bool{}
	for _, f := range list {
		if seen[f.Dest()] {
			t.Fatal("twice:", f.Dest())
		}
		seen[f.Dest()] = true
		for _, p := range []Pool{f.Inside, f.Outside} {
			checkPool(t, p)
		}
	}
}

func checkPool(t *testing.T, p Pool) {
	t.Helper()
	if p.Why.Sentence() == "" || p.Empty == 0 {
		t.Fatalf("no reason or no action: %+v", p)
	}
	empty := slices.Contains([]Reason{None, NoneReady, NoneLocal}, p.Why)
	if empty != (len(p.Backends) == 0) {
		t.Fatalf("%d backends because %s", len(p.Backends), p.Why)
	}
	for i := 1; i < len(p.Backends); i++ {
		if p.Backends[i-1].Addr.Compare(p.Backends[i].Addr) >= 0 {
			t.Fatal("not sorted or not distinct:", p.Backends)
		}
	}
	for i, b := range p.Backends {
		if at, ok := p.Find(b.Addr); !ok || at != i {
			t.Fatal("cannot be found:", b)
		}
	}
}

// A Service's Frontends fed through a Table come out of Lookup.
func TestLookupAgreesWithFrontends(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	tab := &Table{}
	for i := range 500 {
		svc := randomService(r)
		svc.Name = fmt.Sprint("s", i%20)
		fs := Frontends(here, svc, randomSlices(r))
		tab, _ = tab.With(Entry{Service: Name{Namespace: svc.Namespace, Name: svc.Name}, Frontends: fs})
		lost := tab.LostBy(Name{Namespace: svc.Namespace, Name: svc.Name})
		for _, f := range fs {
			got, pool, ok := tab.Lookup(Origin{}, netip.AddrPortFrom(f.Addr, f.Port), f.Proto)
			isLost := slices.ContainsFunc(lost, func(l Lost) bool { return l.Frontend.Key == f.Key })
			if !ok || (got.Equal(f) && pool.Equal(f.Inside)) == isLost {
				t.Fatalf("step %d: %v of %s: got %v (%v), lost %v", i, f.Key, svc.Name, got, ok, lost)
			}
		}
	}
}

func FuzzFrontends(f *testing.F) {
	f.Add("10.0.0.1", "10.1.0.1", "http", "TCP", int32(80), int32(8080), "192.0.2.0/24", uint8(3))
	f.Add("::1", "::ffff:1.2.3.4", "", "SCTP", int32(-1), int32(70000), "0.0.0.0/0", uint8(255))
	f.Add("None", "fe80::1%x", "a", "", int32(65535), int32(1), "/", uint8(0))
	f.Fuzz(func(t *testing.T, ip, addr, port, proto string, number, target int32, ranges string, bits uint8) {
		svc := service(func(s *v1.Service) {
			s.Spec.Type = []v1.ServiceType{v1.ServiceTypeClusterIP, v1.ServiceTypeLoadBalancer, v1.ServiceTypeNodePort,
				v1.ServiceTypeExternalName}[bits%4]
			s.Spec.ClusterIPs, s.Spec.ExternalIPs, s.Spec.LoadBalancerSourceRanges = []string{ip}, []string{addr, ip},
				[]string{ranges}
			s.Spec.Ports = []v1.ServicePort{{Name: port, Protocol: v1.Protocol(proto), Port: number, NodePort: target},
				{Name: "http", Port: 80}}
			s.Status.LoadBalancer.Ingress = []v1.LoadBalancerIngress{{IP: addr}}
		})
		e := discovery.Endpoint{Addresses: []string{addr}}
		for i, c := range []**bool{&e.Conditions.Ready, &e.Conditions.Serving, &e.Conditions.Terminating} {
			if bits>>i&1 == 1 {
				*c = ptr(bits>>(i+3)&1 == 1)
			}
		}
		s := slice(e, ep("10.1.0.1", "rs"))
		s.Ports = append(s.Ports, discovery.EndpointPort{Name: &port, Port: &target, Protocol: ptr(v1.Protocol(proto))})
		fs := Frontends(here, svc, []*discovery.EndpointSlice{s})
		checkFrontends(t, fs)
		tab, _ := (&Table{}).With(Entry{Service: Name{Namespace: "shop", Name: "cart"}, Frontends: fs})
		if got := tab.All(); !slices.EqualFunc(got, fs, Frontend.Equal) {
			t.Fatal("the table has something else:", cmp.Diff(fs, got, netipOptions))
		}
	})
}
