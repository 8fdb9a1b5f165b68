package userspace

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"viaduct/internal/routing"
)

// A compiledFrontend is a Frontend made ready for picking.
type compiledFrontend struct {
	routing.Frontend
	inside, outside *routing.Picker
	counts          openCounts
}

// hasBackends reports whether there is anybody to connect to.
func (f *compiledFrontend) hasBackends() bool { return f.inside.Len()+f.outside.Len() > 0 }

// keeps reports whether a flow from from to an endpoint goes on: the client may connect, and the endpoint is in its
// pool or serves what it has, as one that is drained.
func (f *compiledFrontend) keeps(from routing.Origin, to netip.AddrPort) bool {
	if !f.Allows(from.Addr) {
		return false
	}
	_, serves := f.PoolFor(from).Find(to)
	_, drained := slices.BinarySearchFunc(f.Serving, to, netip.AddrPort.Compare)
	return serves || drained
}

// picker is what serves a connection from from; nil if from may not connect.
func (f *compiledFrontend) picker(from routing.Origin) *routing.Picker {
	switch {
	case !f.Allows(from.Addr):
		return nil
	case from.Outside:
		return f.outside
	}
	return f.inside
}

// plan is what a list of Frontends means for this backend.
type plan struct {
	serve   map[routing.Dest]*compiledFrontend
	refused []*routing.FrontendError // what no user space program could serve
}

func compile(list []routing.Frontend) plan {
	p := plan{serve: make(map[routing.Dest]*compiledFrontend, len(list))}
	for _, f := range list {
		if err := supported(f); err != nil {
			p.refused = append(p.refused, &routing.FrontendError{Key: f.Key, Service: f.Service, Err: err})
			continue
		}
		p.serve[f.Dest()] = &compiledFrontend{Frontend: f, inside: routing.NewPicker(f.Inside, f.Policy),
			outside: routing.NewPicker(f.Outside, f.Policy)}
	}
	return p
}

// supported says why f cannot be served whatever the host. Binding an unspecified or multicast address would succeed
// and take the port from every other address.
func supported(f routing.Frontend) error {
	switch {
	case f.Proto != routing.TCP && f.Proto != routing.UDP:
		return fmt.Errorf("protocol %s: %w", f.Proto, errors.ErrUnsupported)
	case f.Addr.IsUnspecified(), f.Addr.IsMulticast():
		return fmt.Errorf("address %s: %w", f.Addr, errors.ErrUnsupported)
	}
	return nil
}
