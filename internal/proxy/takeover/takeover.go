package takeover

import (
	"context"
	"errors"
)

// Leftovers are what kube-proxy left on a host. The zero Leftovers are none.
type Leftovers struct {
	// Notes say what else whoever removes them ought to know: what has to stay and why, what could not be read.
	Notes []string
	parts []part
}

// A part is what is kept in one place of the kernel.
type part interface {
	lines() []string // one for each thing that goes; none if there is nothing
	remove(context.Context) error
}

// Find reads what kube-proxy left in the network namespace of the calling thread. It changes nothing. It needs
// CAP_NET_ADMIN.
func Find(ctx context.Context) (*Leftovers, error) {
	found := &Leftovers{}
	for _, find := range []func() ([]part, []string, error){
		findNFTables,
		func() ([]part, []string, error) { return findLegacy(ctx) },
		findIPVS, // after the chains, which hold its sets
	} {
		parts, notes, err := find()
		if err != nil {
			return nil, err
		}
		found.parts = append(found.parts, parts...)
		found.Notes = append(found.Notes, notes...)
	}
	return found, nil
}

// Lines name what there is, each on its own, for people to read.
func (l *Leftovers) Lines() (list []string) {
	for _, p := range l.parts {
		list = append(list, p.lines()...)
	}
	return list
}

// Remove removes all of it, and returns the Lines of what has gone. Packets see kube-proxy's rules or do not: what
// leads to them goes first, at once. After an error, which may mean that somebody else changed the same tables, Find
// tells what is left.
func (l *Leftovers) Remove(ctx context.Context) (removed []string, err error) {
	for _, p := range l.parts {
		lines := p.lines()
		if len(lines) == 0 {
			continue
		}
		if one := p.remove(ctx); one != nil {
			err = errors.Join(err, one) // the other places do not depend on this one, but for the sets, which say so themselves
			continue
		}
		removed = append(removed, lines...)
	}
	return removed, err
}
