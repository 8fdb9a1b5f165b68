package userspace

import (
	"net/netip"
	"sync"
	"time"

	"viaduct/internal/routing"
)

// affinityKey is one client of one Service port. The Service port counts, not the address: a client keeps its endpoint
// when it connects to the cluster IP and to a node port.
type affinityKey struct {
	service routing.Name
	client  netip.Addr
}

type affinityEntry struct {
	to    netip.AddrPort
	until time.Time
}

// affinity stores the endpoint of each client. When it is full, it takes a few entries and drops the one that would
// expire first. So its memory is bounded and its cost is constant.
type affinity struct {
	limit int

	mu      sync.Mutex // protects the following
	entries map[affinityKey]affinityEntry
}

func newAffinity(limit int) *affinity {
	return &affinity{limit: limit, entries: map[affinityKey]affinityEntry{}}
}

// last is the endpoint that is stored for v and has not expired.
func (a *affinity) last(v affinityKey) (netip.AddrPort, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was, ok := a.entries[v]
	return was.to, ok && time.Now().Before(was.until)
}

// remember stores to as the endpoint of v, for a new period.
func (a *affinity) remember(v affinityKey, to netip.AddrPort, period time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.entries[v]; !known && len(a.entries) >= a.limit {
		a.forgetOne()
	}
	a.entries[v] = affinityEntry{to, time.Now().Add(period)}
}

// forgetOne drops, of eight entries, the one that expires first. A range over a map starts at a random entry, so the
// eight entries are a random sample.
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
