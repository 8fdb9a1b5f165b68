package proxytest

import (
	"math"
	"net/netip"

	"viaduct/internal/routing"
)

// sigmas is how many standard deviations a count may be off: a fair draw is further off once in 500 million times.
const sigmas = 6

// within reports whether count of n draws is a plausible result for something of this chance.
func within(count, n int, chance float64) bool {
	want := float64(n) * chance
	return math.Abs(float64(count)-want) <= sigmas*math.Sqrt(want*(1-chance))
}

// weighted is a pool of the endpoints with the weights.
func weighted(eps []netip.AddrPort, weights ...uint32) routing.Pool {
	p := pool(eps...)
	for i, e := range eps {
		at, _ := p.Find(e)
		p.Backends[at].Weight = weights[i]
	}
	return p
}

// inTurn: under round-robin each endpoint gets exactly its share of as many connections as there are slots.
func inTurn(w *world) {
	_, at := w.endpoints(3)
	place, other := w.place(), w.place()
	turn := func(f *routing.Frontend) { f.Policy = routing.RoundRobin }
	w.serve("b", frontend("b", other, routing.TCP, pool(at[:2]...), turn))
	for _, weights := range [][]uint32{{1, 1, 1}, {1, 2, 3}, {4, 0, 4}} {
		w.serve("a", frontend("a", place, routing.TCP, weighted(at, weights...), turn))
		_, total := routing.Slots(weighted(at, weights...).Backends)
		got, others := map[netip.AddrPort]int{}, map[netip.AddrPort]int{}
		for range 6 * total { // two Services in turn must not disturb one another
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
