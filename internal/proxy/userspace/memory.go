package userspace

import (
	"net/netip"
	"sync"
	"time"

	"viaduct/internal/routing"
)

// visitor is one client of one Service port. Affinity is by port, not by address: a client stays with its endpoint
// whether it comes by the cluster IP or by a node port.
type visitor struct {
	service routing.Name
	client  netip.Addr
}

type visit struct {
	to    netip.AddrPort
	until time.Time
}

// affinity remembers which endpoint served a client. When it is full it forgets the one of a few that would have
// expired first, so that its memory is bounded and its cost constant.
type affinity struct {
	limit int

	mu     sync.Mutex // protects the following
	visits map[visitor]visit
}

func newAffinity(limit int) *affinity { return &affinity{limit: limit, visits: map[visitor]visit{}} }

// last is the endpoint that served v lately.
func (a *affinity) last(v visitor) (netip.AddrPort, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was, ok := a.visits[v]
	return was.to, ok && time.Now().Before(was.until)
}

// remember notes that to serves v, for another period.
func (a *affinity) remember(v visitor, to netip.AddrPort, period time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.visits[v]; !known && len(a.visits) >= a.limit {
		a.forgetOne()
	}
	a.visits[v] = visit{to, time.Now().Add(period)}
}

// forgetOne relies on a map's range starting anywhere: eight entries are a fair sample.
func (a *affinity) forgetOne() {
	var oldest visitor
	var until time.Time
	seen := 0
	for v, is := range a.visits {
		if seen == 0 || is.until.Before(until) {
			oldest, until = v, is.until
		}
		if seen++; seen == 8 {
			break
		}
	}
	delete(a.visits, oldest)
}
