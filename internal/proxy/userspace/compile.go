package userspace

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"viaduct/internal/routing"
)

// A compiledFrontend is a Frontend with its Pickers.
type compiledFrontend struct {
	routing.Frontend
	inside, outside *routing.Picker
	counts          openCounts
}

// hasBackends reports whether a pool has a backend.
func (f *compiledFrontend) hasBackends() bool { return f.inside.Len()+f.outside.Len() > 0 }

// keeps reports whether a flow from from to an endpoint continues: the client may connect, and the endpoint is in the
// pool or in Serving, for example because it is drained.
func (f *compiledFrontend) keeps(from routing.Origin, to netip.AddrPort) bool {
	if !f.Allows(from.Addr) {
		return false
	}
	_, serves := f.PoolFor(from).Find(to)
	_, drained := slices.BinarySearchFunc(f.Serving, to, netip.AddrPort.Compare)
	return serves || drained
}

// picker is the Picker for a connection from from; nil if from may not connect.
func (f *compiledFrontend) picker(from routing.Origin) *routing.Picker {
	switch {
	case !f.Allows(from.Addr):
		return nil
	case from.Outside:
		return f.outside
	}
	return f.inside
}

// plan is the compiled form of a list of Frontends.
type plan struct {
	serve   map[routing.Dest]*compiledFrontend
	refused []*routing.FrontendError // Frontends that this backend cannot serve on any host
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

// supported returns an error if f cannot be served on any host. A socket bound to an unspecified or multicast address
// would succeed and take the port of every other address.
func supported(f routing.Frontend) error {
	switch {
	case f.Proto != routing.TCP && f.Proto != routing.UDP:
		return fmt.Errorf("protocol %s: %w", f.Proto, errors.ErrUnsupported)
	case f.Addr.IsUnspecified(), f.Addr.IsMulticast():
		return fmt.Errorf("address %s: %w", f.Addr, errors.ErrUnsupported)
	}
	return nil
}
