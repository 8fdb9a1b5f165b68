package proxytest

import (
	"math"
	"net/netip"

	"viaduct/internal/routing"
)

// sigmas is the number of standard deviations that a count may be off. A fair draw is off by more once in 500 million
// times.
const sigmas = 6

// within reports whether count of n draws is plausible for this chance.
func within(count, n int, chance float64) bool {
	want := float64(n) * chance
	return math.Abs(float64(count)-want) <= sigmas*math.Sqrt(want*(1-chance))
}

// weighted returns a pool of the endpoints with these weights.
func weighted(eps []netip.AddrPort, weights ...uint32) routing.Pool {
	p := pool(eps...)
	for i, e := range eps {
		at, _ := p.Find(e)
		p.Backends[at].Weight = weights[i]
	}
	return p
}

// inTurn: under round-robin each endpoint gets exactly its share of one round, which has one connection for each slot.
func inTurn(w *world) {
	_, at := w.endpoints(3)
	place, other := w.place(), w.place()
	turn := func(f *routing.Frontend) { f.Policy = routing.RoundRobin }
	w.serve("b", frontend("b", other, routing.TCP, pool(at[:2]...), turn))
	for _, weights := range [][]uint32{{1, 1, 1}, {1, 2, 3}, {4, 0, 4}} {
		w.serve("a", frontend("a", place, routing.TCP, weighted(at, weights...), turn))
		_, total := routing.Slots(weighted(at, weights...).Backends)
		got, others := map[netip.AddrPort]int{}, map[netip.AddrPort]int{}
		for range 6 * total { // two Services in turn must not affect each other
			got[w.judge(place, routing.TCP)]++
			others[w.judge(other, routing.TCP)]++
		}
		sum := weights[0] + weights[1] + weights[2]
		for i, e := range at {
			if want := 6 * total * int(weights[i]) / int(sum); got[e] != want {
				w.Errorf("weights %v: %s got %d connections, want %d", weights, e, got[e], want)
			}
		}
		if others[at[0]] != others[at[1]] {
			w.Errorf("weights %v: of two endpoints in turn one got %d and one %d", weights, others[at[0]], others[at[1]])
		}
	}
}

// byWeight: under random the shares follow the weights, also after the weights have changed.
func byWeight(w *world) {
	const n = 600
	_, at := w.endpoints(3)
	place := w.place()
	for _, weights := range [][]uint32{{1, 2, 5}, {6, 1, 1}, {1, 0, 1}} {
		w.serve("a", frontend("a", place, routing.TCP, weighted(at, weights...)))
		got := map[netip.AddrPort]int{}
		for range n {
			got[w.judge(place, routing.TCP)]++
		}
		for i, e := range at {
			if chance := float64(weights[i]) / float64(weights[0]+weights[1]+weights[2]); !within(got[e], n, chance) {
				w.Errorf("weights %v: %s got %d of %d connections", weights, e, got[e], n)
			}
		}
	}
}

// bySource: under source-hash a client address keeps its endpoint, and clients are spread by the weights. When an
// endpoint leaves, only its clients move. Package routing computes which endpoint serves a client, so the test does not
// depend on chance.
func bySource(w *world) {
	const clients = 60
	_, at := w.endpoints(4)
	place := w.place()
	hashed := func(f *routing.Frontend) { f.Policy = routing.SourceHash }
	for _, eps := range [][]netip.AddrPort{at, at[1:], at} {
		p := pool(eps...)
		w.serve("a", frontend("a", place, routing.TCP, p, hashed))
		k := routing.NewPicker(p, routing.SourceHash)
		for i := range byte(clients) {
			client := netip.AddrFrom4([4]byte{127, 0, 1, i + 1})
			want, _ := k.Pick(routing.Draw{Client: client})
			for range 2 {
				if who, err := ask(client, place); err != nil || who != want.Addr {
					w.Fatalf("client %s was answered by %s (%v), want %s", client, who, err, want.Addr)
				}
			}
		}
	}
}

// byLoad: under least-connections the next connection goes to the endpoint with the fewest connections for its weight.
// Connections that stay open are therefore spread exactly.
func byLoad(w *world) {
	_, at := w.endpoints(3)
	place := w.place()
	least := func(f *routing.Frontend) { f.Policy = routing.LeastConnections }
	w.serve("a", frontend("a", place, routing.TCP, weighted(at, 1, 1, 2), least))
	got := map[netip.AddrPort]int{}
	for range 40 {
		_, _, who := w.open(place)
		got[who]++
	}
	if got[at[0]] != 10 || got[at[1]] != 10 || got[at[2]] != 20 {
		w.Errorf("40 connections that stay are spread as %v, want 10, 10 and 20", got)
	}
}

// drained: an endpoint of weight 0 keeps its connections and gets no new ones. (Package routing leaves the endpoint out
// of the pool and lists it in Serving.)
func drained(w *world) {
	eps, at := w.endpoints(2)
	place := w.place()
	w.serve("a", frontend("a", place, routing.TCP, pool(at[0])))
	c, r, _ := w.open(place)
	w.serve("a", frontend("a", place, routing.TCP, pool(at[1]), func(f *routing.Frontend) {
		f.Serving = []netip.AddrPort{at[0]}
	}))
	before := eps[0].accepted.Load()
	for range 20 {
		w.judge(place, routing.TCP)
	}
	if after := eps[0].accepted.Load(); after != before {
		w.Errorf("a drained endpoint got %d new connections", after-before)
	}
	if _, err := c.Write([]byte("still\n")); err != nil {
		w.Fatal(err)
	}
	if line, err := r.ReadString('\n'); err != nil || line != "still\n" {
		w.Errorf("a connection to a drained endpoint: %q, %v", line, err)
	}
}

// drainedUDP: a flow to a drained endpoint continues. A new client goes to another endpoint.
func drainedUDP(w *world) {
	a, b := w.udpEndpoint(), w.udpEndpoint()
	place := w.place()
	w.serve("a", frontend("a", place, routing.UDP, pool(a.at)))
	c, err := dialUDP(place)
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close()
	for _, drain := range []bool{false, true} {
		if drain {
			w.serve("a", frontend("a", place, routing.UDP, pool(b.at), func(f *routing.Frontend) {
				f.Serving = []netip.AddrPort{a.at}
			}))
			w.judge(place, routing.UDP)
		}
		if who, err := exchange(c, "hello"); err != nil || who != a.at {
			w.Errorf("the flow was answered by %s (%v), want %s", who, err, a.at)
		}
	}
}
