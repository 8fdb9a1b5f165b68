package userspace

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"viaduct/internal/table"
)

// visitor is one client of one Service port. Affinity is by port, not by address: a client stays with its endpoint
// whether it comes by the cluster IP or by a node port.
type visitor struct {
	service table.Name
	client  netip.Addr
}

type visit struct {
	to    netip.AddrPort
	until time.Time
}

// affinity remembers which endpoint served a client. When it is full it forgets the one of a few that would have expired
// first, so that its memory is bounded and its cost constant.
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

const (
	// avoidFor is how long an endpoint that did not answer in time is tried last. It is short, because the table is what
	// says who is in the pool; this only spares the next clients the same wait.
	avoidFor = 5 * time.Second
	// avoidLimit bounds the memory; above it endpoints are not avoided.
	avoidLimit = 4096
)

// avoidance remembers endpoints that did not answer. While there are none, which is always, asking costs one load.
type avoidance struct {
	count atomic.Int32 // len(until)

	mu    sync.Mutex // protects the following
	until map[netip.AddrPort]time.Time
}

func newAvoidance() *avoidance { return &avoidance{until: map[netip.AddrPort]time.Time{}} }

func (a *avoidance) any() bool { return a.count.Load() > 0 }

func (a *avoidance) avoided(e netip.AddrPort) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.until[e]
	if ok && !time.Now().Before(until) {
		delete(a.until, e)
		a.count.Store(int32(len(a.until)))
		ok = false
	}
	return ok
}

func (a *avoidance) add(e netip.AddrPort) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.until) >= avoidLimit {
		clear(a.until)
	}
	a.until[e] = time.Now().Add(avoidFor)
	a.count.Store(int32(len(a.until)))
}
