package userspace

import (
	"cmp"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"viaduct/internal/proxy"
	"viaduct/internal/routing"
)

const (
	// asideFirst is how long an endpoint that did not take a connection is set aside; it doubles while it goes on so, up
	// to asideLongest. It is short, because the table is what says who is in the pool: this spares the next clients the
	// same wait.
	asideFirst   = 5 * time.Second
	asideLongest = time.Minute
	// trial is how long one client may take to try an endpoint whose time is over, while the others still go elsewhere.
	trial = 2 * time.Second
	// asideLimit bounds the memory; above it no more endpoints are set aside.
	asideLimit = 4096
)

// ejected remembers the endpoints that did not take connections. While there are none, which is nearly always, asking
// costs one load.
type ejected struct {
	log   *slog.Logger
	count atomic.Int32 // len(aside)

	mu    sync.Mutex // protects aside
	aside map[netip.AddrPort]outcast
}

// outcast is an endpoint that is set aside.
type outcast struct {
	since, until time.Time
	times        int // it failed in a row, each time after it had been left alone
	cause        string
}

func newEjected(log *slog.Logger) *ejected {
	return &ejected{log: log, aside: map[netip.AddrPort]outcast{}}
}

func (e *ejected) any() bool { return e.count.Load() > 0 }

// failed notes that an endpoint did not take a connection. That it fails others who were under way already counts once.
func (e *ejected) failed(at netip.AddrPort, cause string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	o, known := e.aside[at]
	switch {
	case !known && len(e.aside) >= asideLimit:
		return
	case known && now.Before(o.until) && o.until.Sub(now) > trial:
		return
	case !known:
		o.since = now
	}
	pause := min(asideFirst<<min(o.times, 10), asideLongest)
	o.times, o.cause, o.until = o.times+1, cause, now.Add(pause)
	e.aside[at] = o
	e.count.Store(int32(len(e.aside)))
	e.log.Info("an endpoint is set aside", "endpoint", at, "for", pause, "cause", cause)
}

// took notes that an endpoint took a connection.
func (e *ejected) took(at netip.AddrPort) {
	if !e.any() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if o, known := e.aside[at]; known {
		e.drop(at)
		e.log.Info("an endpoint takes connections again", "endpoint", at, "after",
			time.Since(o.since).Round(time.Millisecond))
	}
}

// drop is called with e.mu held.
func (e *ejected) drop(at netip.AddrPort) {
	delete(e.aside, at)
	e.count.Store(int32(len(e.aside)))
}

// of are the endpoints of p that are not to be tried now: those set aside, the longest ago first, and never more than
// half of the pool. One whose time is over is tried by whoever asks first; the others learn from that.
func (e *ejected) of(p routing.Pool) []netip.AddrPort {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	found := e.among(p)
	slices.SortFunc(found, func(a, b netip.AddrPort) int {
		return cmp.Or(e.aside[a].since.Compare(e.aside[b].since), a.Compare(b))
	})
	found = found[:min(len(found), len(p.Backends)/2)]
	for i, at := range found {
		if o := e.aside[at]; !now.Before(o.until) {
			o.until = now.Add(trial)
			e.aside[at] = o
			return slices.Delete(found, i, i+1)
		}
	}
	return found
}

// among are the endpoints of p that are set aside, looked for where there is less to look through. e.mu is held.
func (e *ejected) among(p routing.Pool) (found []netip.AddrPort) {
	if len(p.Backends) <= len(e.aside) {
		for _, b := range p.Backends {
			if _, known := e.aside[b.Addr]; known {
				found = append(found, b.Addr)
			}
		}
		return found
	}
	for at := range e.aside {
		if _, member := p.Find(at); member {
			found = append(found, at)
		}
	}
	return found
}

// keep forgets the endpoints that nobody serves any more.
func (e *ejected) keep(serves func(netip.AddrPort) bool) {
	if !e.any() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for at := range e.aside {
		if !serves(at) {
			e.drop(at)
		}
	}
}

// list tells of all, sorted.
func (e *ejected) list() (list []proxy.SetAside) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for at, o := range e.aside {
		list = append(list, proxy.SetAside{Endpoint: at, Cause: o.cause, Since: o.since, Until: o.until})
	}
	slices.SortFunc(list, func(a, b proxy.SetAside) int { return a.Endpoint.Compare(b.Endpoint) })
	return list
}

// SetAside implements proxy.Ejector.
func (b *Backend) SetAside() []proxy.SetAside { return b.host.ejected.list() }
