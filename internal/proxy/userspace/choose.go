package userspace

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"

	"viaduct/internal/routing"
)

// A dialAttempt is the search of one client for an endpoint. It tries each endpoint at most once.
type dialAttempt struct {
	host  *host
	turn  *atomic.Uint64 // of the server that the client connected to: the number of round-robin picks so far
	from  routing.Origin
	tried []netip.AddrPort
}

// A target is an endpoint to try. The pick has counted one open connection in tally.open. The caller of next must end
// it by tally.open.Add(-1).
type target struct {
	addr  netip.AddrPort
	tally *meter
	last  bool // all other endpoints were tried
}

// next picks the endpoint to try from f, which is the present Frontend: a change of the pool between two tries counts.
// False means that no endpoint is left.
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

// again is the endpoint that this client had before, if f has session affinity and the endpoint is still in the pool.
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

// pick picks an endpoint by the policy. It skips endpoints that have refused this client or are ejected. If only
// ejected endpoints are left, it picks one of these.
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

// draw is the input of one pick.
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

// refused records that the endpoint t did not take the client, and ends its open connection.
func (a *dialAttempt) refused(t target) {
	t.tally.open.Add(-1)
	t.tally.failures.Add(1)
	a.tried = append(a.tried, t.addr)
}

// found stores to as the endpoint of the client, if f has session affinity.
func (a *dialAttempt) found(f *compiledFrontend, to netip.AddrPort) {
	if f.Affinity > 0 {
		a.host.affinity.remember(affinityKey{f.Service, a.from.Addr}, to, f.Affinity)
	}
}
