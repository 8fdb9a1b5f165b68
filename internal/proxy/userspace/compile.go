package userspace

import (
	"errors"
	"fmt"

	"viaduct/internal/routing"
)

// front is a Frontend made ready for picking.
type front struct {
	routing.Frontend
	inside, outside *routing.Picker
}

// open reports whether there is anybody to connect to.
func (f *front) open() bool { return f.inside.Len()+f.outside.Len() > 0 }

// picker is what serves a connection from from; nil if from may not connect.
func (f *front) picker(from routing.Origin) *routing.Picker {
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
	serve   map[routing.Dest]*front
	refused []*routing.FrontendError // what no user space program could serve
}

func compile(list []routing.Frontend) plan {
	p := plan{serve: make(map[routing.Dest]*front, len(list))}
	for _, f := range list {
		if err := supported(f); err != nil {
			p.refused = append(p.refused, &routing.FrontendError{Key: f.Key, Service: f.Service, Err: err})
			continue
		}
		p.serve[f.Dest()] = &front{Frontend: f, inside: routing.NewPicker(f.Inside, f.Policy),
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
