package userspace

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"

	"viaduct/internal/routing"
)

// search is the way of one client to an endpoint: each is tried at most once.
type search struct {
	host  *host
	turn  *atomic.Uint64 // of the place that the client came to: how many picks there were
	from  routing.Origin
	tried []netip.AddrPort
}

// next picks whom to try, by f as it is now: a pool that changes under way is obeyed. last says that nobody else is
// left. False means that there is nobody.
func (s *search) next(f *front) (to netip.AddrPort, last, ok bool) {
	k := f.picker(s.from)
	if k == nil {
		return netip.AddrPort{}, false, false
	}
	b, ok := s.again(f)
	if !ok {
		b, ok = s.pick(f, k)
	}
	return b.Addr, len(s.tried)+1 >= k.Len(), ok
}

// again is the endpoint this client had before, if affinity is asked for and it still serves.
func (s *search) again(f *front) (routing.Backend, bool) {
	if f.Affinity == 0 {
		return routing.Backend{}, false
	}
	to, ok := s.host.affinity.last(visitor{f.Service, s.from.Addr})
	if !ok || slices.Contains(s.tried, to) {
		return routing.Backend{}, false
	}
	pool := f.PoolFor(s.from)
	at, ok := pool.Find(to)
	if !ok {
		return routing.Backend{}, false
	}
	return pool.Backends[at], true
}

// pick picks by policy: first anybody, and when somebody refused or is set aside, among the others.
func (s *search) pick(f *front, k *routing.Picker) (routing.Backend, bool) {
	if len(s.tried) == 0 && !s.host.ejected.any() {
		return k.Pick(s.draw(f))
	}
	aside := s.host.ejected.of(f.PoolFor(s.from))
	tried := func(b routing.Backend) bool { return slices.Contains(s.tried, b.Addr) }
	b, ok := k.PickOther(s.draw(f), func(b routing.Backend) bool { return tried(b) || slices.Contains(aside, b.Addr) })
	if !ok {
		b, ok = k.PickOther(s.draw(f), tried)
	}
	return b, ok
}

// draw is what the pick of one endpoint depends on.
func (s *search) draw(f *front) routing.Draw {
	d := routing.Draw{Client: s.from.Addr, Random: rand.Uint64()}
	if f.Policy == routing.RoundRobin {
		d.Turn = s.turn.Add(1) - 1
	}
	return d
}

// found notes that to serves the client.
func (s *search) found(f *front, to netip.AddrPort) {
	if f.Affinity > 0 {
		s.host.affinity.remember(visitor{f.Service, s.from.Addr}, to, f.Affinity)
	}
}
