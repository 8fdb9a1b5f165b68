package userspace

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"

	"viaduct/internal/routing"
)

// A dialAttempt is the way of one client to an endpoint: each endpoint is tried at most once.
type dialAttempt struct {
	host  *host
	turn  *atomic.Uint64 // of the place that the client came to: how many picks there were
	from  routing.Origin
	tried []netip.AddrPort
}

// A target is an endpoint to try. The one who picked it owns one of its open connections, and gives it back by
// tally.open.Add(-1).
type target struct {
	addr  netip.AddrPort
	tally *meter
	last  bool // no other endpoint is left
}

// next picks the endpoint to try, by f as it is now: a pool that changes meanwhile counts. False means that there is
// none.
func (a *dialAttempt) next(f *compiledFrontend) (target, bool) {
	k := f.picker(a.from)
	if k == nil {
		return target{}, false
	}
	if f.counts.picking != nil {
		f.counts.picking.Lock()
		defer f.counts.picking.Unlock()
	}
	b, ok := a.again(f)
	if !ok {
		b, ok = a.pick(f, k)
	}
	if !ok {
		return target{}, false
	}
	t := target{b.Addr, a.host.tallies.of(f.Service, b.Addr), len(a.tried)+1 >= k.Len()}
	t.tally.open.Add(1)
	return t, true
}

// again is the endpoint that this client had before, if affinity is asked for and the endpoint still serves.
func (a *dialAttempt) again(f *compiledFrontend) (routing.Backend, bool) {
	if f.Affinity == 0 {
		return routing.Backend{}, false
	}
	to, ok := a.host.affinity.last(affinityKey{f.Service, a.from.Addr})
	if !ok || slices.Contains(a.tried, to) {
		return routing.Backend{}, false
	}
	pool := f.PoolFor(a.from)
	at, ok := pool.Find(to)
	if !ok {
		return routing.Backend{}, false
	}
	return pool.Backends[at], true
}

// pick picks by policy: among all endpoints first, and among the others when one has refused or is ejected.
func (a *dialAttempt) pick(f *compiledFrontend, k *routing.Picker) (routing.Backend, bool) {
	if len(a.tried) == 0 && !a.host.ejected.any() {
		return k.Pick(a.draw(f))
	}
	ejected := a.host.ejected.of(f.PoolFor(a.from))
	tried := func(b routing.Backend) bool { return slices.Contains(a.tried, b.Addr) }
	d := a.draw(f)
	b, ok := k.PickOther(d, func(b routing.Backend) bool { return tried(b) || slices.Contains(ejected, b.Addr) })
	if !ok {
		b, ok = k.PickOther(d, tried)
	}
	return b, ok
}

// draw is what the pick of one endpoint depends on.
func (a *dialAttempt) draw(f *compiledFrontend) routing.Draw {
	d := routing.Draw{Client: a.from.Addr, Random: rand.Uint64()}
	switch f.Policy {
	case routing.RoundRobin:
		d.Turn = a.turn.Add(1) - 1
	case routing.LeastConnections:
		d.Open = f.counts.of(a.from)
	case routing.Random, routing.SourceHash:
	}
	return d
}

// refused gives t back and notes that it did not serve the client.
func (a *dialAttempt) refused(t target) {
	t.tally.open.Add(-1)
	t.tally.failures.Add(1)
	a.tried = append(a.tried, t.addr)
}

// found notes that to serves the client.
func (a *dialAttempt) found(f *compiledFrontend, to netip.AddrPort) {
	if f.Affinity > 0 {
		a.host.affinity.remember(affinityKey{f.Service, a.from.Addr}, to, f.Affinity)
	}
}
