package userspace

import (
	"net/netip"
	"sync"
	"time"

	"viaduct/internal/routing"
)

// affinityKey is one client of one Service port. Affinity is by port, not by address: a client stays with its endpoint
// whether it comes by the cluster IP or by a node port.
type affinityKey struct {
	service routing.Name
	client  netip.Addr
}

type affinityEntry struct {
	to    netip.AddrPort
	until time.Time
}

// affinity remembers which endpoint served a client. When it is full it forgets the one of a few that would have
// expired first, so that its memory is bounded and its cost constant.
type affinity struct {
	limit int

	mu      sync.Mutex // protects the following
	entries map[affinityKey]affinityEntry
}

func newAffinity(limit int) *affinity {
	return &affinity{limit: limit, entries: map[affinityKey]affinityEntry{}}
}

// last is the endpoint that served v lately.
func (a *affinity) last(v affinityKey) (netip.AddrPort, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was, ok := a.entries[v]
	return was.to, ok && time.Now().Before(was.until)
}

// remember notes that to serves v, for another period.
func (a *affinity) remember(v affinityKey, to netip.AddrPort, period time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.entries[v]; !known && len(a.entries) >= a.limit {
		a.forgetOne()
	}
	a.entries[v] = affinityEntry{to, time.Now().Add(period)}
}

// forgetOne relies on a map's range starting anywhere: eight entries are a fair sample.
func (a *affinity) forgetOne() {
	var oldest affinityKey
	var until time.Time
	seen := 0
	for v, is := range a.entries {
		if seen == 0 || is.until.Before(until) {
			oldest, until = v, is.until
		}
		if seen++; seen == 8 {
			break
		}
	}
	delete(a.entries, oldest)
}
