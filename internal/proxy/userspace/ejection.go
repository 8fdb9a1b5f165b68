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
	// asideFirst is how long an endpoint is ejected after it did not take a connection. The time doubles with each further
	// failure, up to asideLongest. It is short, because the table decides which endpoints are in the pool. The ejection
	// only saves the next clients the same wait.
	asideFirst   = 5 * time.Second
	asideLongest = time.Minute
	// trial is the time for a trial connection. When the ejection time of an endpoint is over, one client tries the
	// endpoint; the other clients still skip it for this time.
	trial = 2 * time.Second
	// asideLimit is the largest number of ejected endpoints. At the limit no further endpoint is ejected.
	asideLimit = 4096
)

// ejected holds the ejected endpoints: those that did not take connections. Usually there are none, and then a check
// costs one atomic load.
type ejected struct {
	log   *slog.Logger
	count atomic.Int32 // len(aside)

	mu    sync.Mutex // protects aside
	aside map[netip.AddrPort]outcast
}

// outcast is an ejected endpoint.
type outcast struct {
	since, until time.Time
	times        int // the number of failures in a row, each after an ejection time was over
	cause        string
}

func newEjected(log *slog.Logger) *ejected {
	return &ejected{log: log, aside: map[netip.AddrPort]outcast{}}
}

func (e *ejected) any() bool { return e.count.Load() > 0 }

// failed records that an endpoint did not take a connection. Failures of connections that started before the ejection
// are not counted again.
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

// took records that an endpoint took a connection, and ends its ejection.
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

// drop removes an endpoint. The caller holds e.mu.
func (e *ejected) drop(at netip.AddrPort) {
	delete(e.aside, at)
	e.count.Store(int32(len(e.aside)))
}

// of lists the endpoints of p that must not be tried now. These are the ejected ones, the longest ejected first, and at
// most half of the pool. If the ejection time of an endpoint is over, of leaves it out once: the caller tries it, and
// the other callers skip it until the trial has ended.
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

// among lists the ejected endpoints of p. It iterates over the smaller of the pool and the map aside. The caller holds
// e.mu.
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

// keep drops the endpoints for which serves is false: no Service has them any more.
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

// list returns all ejected endpoints, sorted.
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
