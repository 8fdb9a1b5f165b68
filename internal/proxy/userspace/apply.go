package userspace

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"

	"viaduct/internal/routing"
)

// everyService names the Services of t, and the Services that are served but no longer in t.
func (b *Backend) everyService(t *routing.Table) []routing.Name {
	names := map[routing.Name]bool{}
	for _, n := range t.Services() {
		names[n] = true
	}
	for n := range b.served {
		names[n] = true
	}
	return slices.SortedFunc(maps.Keys(names), routing.Name.Compare)
}

// apply serves exactly the Frontends in list for the Services in names. It opens new addresses before it closes old
// ones, so a client that looks up a Service finds an open address.
func (b *Backend) apply(ctx context.Context, names []routing.Name, list []routing.Frontend) error {
	p := compile(list)
	var errs []error
	for _, e := range p.refused {
		errs = append(errs, e)
	}
	for _, d := range slices.SortedFunc(maps.Keys(p.serve), compareDest) {
		if ctx.Err() != nil {
			return errors.Join(append(errs, context.Cause(ctx))...)
		}
		p.serve[d].counts = b.host.tallies.countsFor(&p.serve[d].Frontend)
		if err := b.serve(d, p.serve[d]); err != nil {
			errs = append(errs, &routing.FrontendError{Key: p.serve[d].Key, Service: p.serve[d].Service, Err: err})
		}
	}
	b.dropOthers(names, p.serve)
	b.forget(names, p.serve)
	return errors.Join(errs...)
}

func (b *Backend) serve(d routing.Dest, f *compiledFrontend) error {
	s, ok := b.servers[d]
	if !ok {
		s = b.host.newServer(d)
		b.servers[d] = s
	}
	return s.update(f)
}

// dropOthers closes the servers of the Services in names whose Dest is not in keep. A Dest that moved from one Service
// to another is in keep, because names contains both Services.
func (b *Backend) dropOthers(names []routing.Name, keep map[routing.Dest]*compiledFrontend) {
	for _, name := range names {
		for _, d := range b.served[name] {
			if s, ok := b.servers[d]; ok && keep[d] == nil {
				s.close()
				delete(b.servers, d)
			}
		}
		delete(b.served, name)
	}
	for d, f := range keep {
		name := f.Service.Service()
		b.served[name] = append(b.served[name], d)
	}
}

// forget drops the meters and ejections of endpoints that the Services in names no longer use.
func (b *Backend) forget(names []routing.Name, serve map[routing.Dest]*compiledFrontend) {
	frontends := map[routing.Name][]*compiledFrontend{}
	for _, f := range serve {
		frontends[f.Service] = append(frontends[f.Service], f)
	}
	for _, name := range names {
		b.host.tallies.keep(name, func(t tally) bool {
			return slices.ContainsFunc(frontends[t.service], func(f *compiledFrontend) bool { return f.Serves(t.endpoint) })
		})
	}
	b.host.ejected.keep(b.serves)
}

// serves reports whether any Service has the endpoint at.
func (b *Backend) serves(at netip.AddrPort) bool {
	for _, s := range b.servers {
		if f := s.now(); f != nil && f.Serves(at) {
			return true
		}
	}
	return false
}

func compareDest(a, b routing.Dest) int {
	return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Proto, b.Proto))
}
