package proxytest

import (
	"net/netip"
	"slices"

	"viaduct/internal/routing"
)

// balancedFrontend returns a ClusterIP's Frontend with a policy and weights.
func balancedFrontend(name string, at netip.AddrPort, policy routing.Policy, eps []netip.AddrPort,
	weights ...uint32) routing.Frontend {
	f := clusterFrontend(name, at, routing.TCP, eps...)
	f.Policy = policy
	for i := range weights {
		at, _ := f.Inside.Find(eps[i])
		f.Inside.Backends[at].Weight = weights[i]
	}
	f.Outside.Backends = slices.Clone(f.Inside.Backends)
	return f
}

// askTimes connects n times from a host and counts the answers of each endpoint.
func (l *lab) askTimes(h Host, to netip.AddrPort, n int) map[netip.AddrPort]int {
	l.Helper()
	got := map[netip.AddrPort]int{}
	l.In(h, func() error {
		for range n {
			a, err := ask1(to, routing.TCP, answerPatience)
			if err != nil {
				return err
			}
			got[a.By]++
		}
		return nil
	})
	return got
}

// served starts n endpoints on PodA.
func (l *lab) served(v6 bool, n uint16) (eps []netip.AddrPort) {
	l.Helper()
	for i := range n {
		eps = append(eps, on(PodA, v6, 8080+i))
		l.Serve(PodA, eps[i], routing.TCP)
	}
	return eps
}

// kernelInTurn: under round-robin each endpoint gets exactly its share, and two Services do not affect each other. This
// also holds after the table has changed or was synced again.
func kernelInTurn(l *lab) {
	for _, v6 := range []bool{false, true} {
		eps := l.served(v6, 3)
		one, two := netip.AddrPortFrom(clusterIP(v6, 10), 80), netip.AddrPortFrom(clusterIP(v6, 11), 80)
		l.serve("b", balancedFrontend("b", two, routing.RoundRobin, eps[:2]))
		for _, weights := range [][]uint32{{1, 1, 1}, {1, 2, 3}, {2, 1, 1}} {
			f := balancedFrontend("a", one, routing.RoundRobin, eps, weights...)
			l.serve("a", f)
			l.sync(nil)
			list, total := routing.Slots(f.Inside.Backends)
			got, others := map[netip.AddrPort]int{}, map[netip.AddrPort]int{}
			for range 4 * total {
				got[l.judge(PodB, one, routing.TCP).By]++
				others[l.judge(PodB, two, routing.TCP).By]++
			}
			for i, b := range f.Inside.Backends {
				if got[b.Addr] != 4*list[i] {
					l.Errorf("weights %v: %s got %d connections, want %d", weights, b.Addr, got[b.Addr], 4*list[i])
				}
			}
			if others[eps[0]] != others[eps[1]] {
				l.Errorf("of two endpoints in turn one got %d and one %d", others[eps[0]], others[eps[1]])
			}
		}
		l.serve("a", balancedFrontend("a", one, routing.Random, eps))
		l.serve("b")
		l.judgeAll(one, routing.TCP)
	}
}

// kernelBySource: under source-hash each client goes to the endpoint that package routing computes, from every origin.
// When an endpoint leaves, the clients of other endpoints do not move.
func kernelBySource(l *lab) {
	for _, v6 := range []bool{false, true} {
		eps := l.served(v6, 5)
		at := netip.AddrPortFrom(clusterIP(v6, 10), 80)
		for _, some := range [][]netip.AddrPort{eps, eps[1:], eps[:4], eps} {
			f := balancedFrontend("a", at, routing.SourceHash, some)
			l.serve("a", f)
			for _, h := range []Host{PodA, PodB, FarPod, Client, Stranger} {
				l.judgeHash(h, f)
			}
		}
		l.sync(nil)
		l.judgeHash(PodB, balancedFrontend("a", at, routing.SourceHash, eps))
		l.serve("a")
	}
}

// judgeHash compares the endpoint that answers a host with the one of Picker.
func (l *lab) judgeHash(h Host, f routing.Frontend) {
	l.Helper()
	want, _ := routing.NewPicker(f.Inside, f.Policy).Pick(routing.Draw{Client: h.Addr(f.Addr.Is6())})
	for range 2 {
		if got := l.judge(h, f.Dest().Addr, routing.TCP).By; got != want.Addr {
			l.Errorf("%s is served by %s, want %s", h, got, want.Addr)
		}
	}
}

// kernelWeightChanges: under random the shares follow the weights after a change, in both families.
func kernelWeightChanges(l *lab) {
	const n = 500
	for _, v6 := range []bool{false, true} {
		eps := l.served(v6, 3)
		at := netip.AddrPortFrom(clusterIP(v6, 10), 80)
		for _, weights := range [][]uint32{{1, 2, 5}, {6, 1, 1}, {1, 0, 100}} {
			l.serve("a", balancedFrontend("a", at, routing.Random, eps, weights...))
			got := l.askTimes(PodB, at, n)
			for i, e := range eps {
				if chance := float64(weights[i]) / float64(weights[0]+weights[1]+weights[2]); !within(got[e], n, chance) {
					l.Errorf("weights %v: %s got %d of %d connections", weights, e, got[e], n)
				}
			}
		}
	}
}

// kernelPoliciesWithAffinity: a client with affinity keeps its endpoint under every policy. A policy that the backend
// does not serve is served as random.
func kernelPoliciesWithAffinity(l *lab) {
	eps := l.served(false, 4)
	for _, policy := range routing.Policies() {
		for _, local := range []bool{false, true} {
			fs, places := remembering(false, local, eps...)
			for i := range fs {
				fs[i].Policy = policy
			}
			l.serve("a", fs...)
			for _, h := range []Host{PodB, Client} {
				l.stays(h, places...)
			}
			l.sync(nil)
			for _, at := range places {
				l.judgeAll(at, routing.TCP)
			}
		}
	}
}
