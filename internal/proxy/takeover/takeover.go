package takeover

import (
	"context"
	"errors"
)

// Leftovers are what kube-proxy left on a host. The zero value has none.
type Leftovers struct {
	// Notes are for the person who removes them: what stays and why, and what cannot be read.
	Notes []string
	parts []part
}

// A part is what one interface of the kernel holds: nftables, iptables-legacy or IPVS.
type part interface {
	lines() []string // one for each thing to be removed
	remove(context.Context) error
}

// Find reads what kube-proxy left in the network namespace of the calling thread. It changes nothing. It needs
// CAP_NET_ADMIN (else EPERM).
func Find(ctx context.Context) (*Leftovers, error) {
	found := &Leftovers{}
	for _, find := range []func() ([]part, []string, error){
		findNFTables,
		func() ([]part, []string, error) { return findLegacy(ctx) },
		findIPVS, // last: its ipsets can be removed only after the rules that match them
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

// Lines describe the leftovers for people, one line for each table, interface or kind.
func (l *Leftovers) Lines() (list []string) {
	for _, p := range l.parts {
		list = append(list, p.lines()...)
	}
	return list
}

// Remove removes all leftovers, and returns the Lines of those that are gone. It first removes the rules that lead to
// kube-proxy's chains, in one transaction for each interface, so that packets meet all of its rules or none. An error
// may mean that another program changed the same tables; Find then returns what is left.
func (l *Leftovers) Remove(ctx context.Context) (removed []string, err error) {
	for _, p := range l.parts {
		lines := p.lines()
		if len(lines) == 0 {
			continue
		}
		if one := p.remove(ctx); one != nil {
			err = errors.Join(err, one) // the other parts are independent, except ipsets in use, whose removal fails
			continue
		}
		removed = append(removed, lines...)
	}
	return removed, err
}
