package userspace

import (
	"errors"
	"fmt"

	"viaduct/internal/table"
)

// front is a Frontend made ready for picking.
type front struct {
	table.Frontend
	inside, outside *table.Picker
}

// open reports whether there is anybody to connect to.
func (f *front) open() bool { return f.inside.Len()+f.outside.Len() > 0 }

// picker is what serves a connection from from; nil if from may not connect.
func (f *front) picker(from table.Origin) *table.Picker {
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
	serve   map[table.Dest]*front
	refused []*table.FrontendError // what no user space program could serve
}

func compile(list []table.Frontend) plan {
	p := plan{serve: make(map[table.Dest]*front, len(list))}
	for _, f := range list {
		if err := supported(f); err != nil {
			p.refused = append(p.refused, &table.FrontendError{Key: f.Key, Service: f.Service, Err: err})
			continue
		}
		p.serve[f.Dest()] = &front{Frontend: f, inside: table.NewPicker(f.Inside, f.Policy), outside: table.NewPicker(f.Outside, f.Policy)}
	}
	return p
}

// supported says why f cannot be served whatever the host. Binding an unspecified or multicast address would succeed and
// take the port from every other address.
func supported(f table.Frontend) error {
	switch {
	case f.Proto != table.TCP && f.Proto != table.UDP:
		return fmt.Errorf("protocol %s: %w", f.Proto, errors.ErrUnsupported)
	case f.Addr.IsUnspecified(), f.Addr.IsMulticast():
		return fmt.Errorf("address %s: %w", f.Addr, errors.ErrUnsupported)
	}
	return nil
}
