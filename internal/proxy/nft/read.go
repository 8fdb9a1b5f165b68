package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
)

// found is what the kernel holds of the table of one family.
type found struct {
	exists bool
	chains map[string]foundChain
	sets   map[string]uint32 // their flags
}

type foundChain struct {
	hook  *nftables.Hook // of a base chain, else nil
	marks []string       // of the rules, in their order
}

// readTable lists the table's chains, rules and sets, but no elements.
func readTable(c *nftables.Conn, f nftables.Family) (found, error) {
	have := found{chains: map[string]foundChain{}}
	err := have.read(c, tableOf(f))
	if errors.Is(err, unix.EPERM) {
		return have, fmt.Errorf("the kernel's tables are for root (CAP_NET_ADMIN): %w", err)
	}
	if err != nil {
		return have, fmt.Errorf("reading table %s: %w", tableOf(f), err)
	}
	return have, nil
}

func (have *found) read(c *nftables.Conn, t nftables.Table) error {
	tables, err := c.Tables(t.Family)
	if err != nil {
		return err
	}
	have.exists = slices.Contains(tables, t.Name)
	chains, err := c.Chains(t)
	if err != nil {
		return err
	}
	for _, one := range chains {
		have.chains[one.Name] = foundChain{hook: one.Hook}
	}
	rules, err := c.Rules(t)
	if err != nil {
		return err
	}
	for _, r := range rules {
		of := have.chains[r.Chain]
		of.marks = append(of.marks, r.Comment)
		have.chains[r.Chain] = of
	}
	have.sets, err = c.Sets(t)
	return err
}

// readSet lists the elements of one set, which are none if it is not there. If other programs change the set meanwhile,
// elements may come twice, and some that are gone.
func readSet(c *nftables.Conn, f nftables.Family, set setID, each func(element)) error {
	err := c.Elements(tableOf(f), set.name(), func(raw nftables.Element) {
		if e, ok := decodeElement(f, set, raw); ok {
			each(e)
		}
	})
	if err != nil {
		return fmt.Errorf("reading set %s of table %s: %w", set.name(), tableOf(f), err)
	}
	return nil
}

// readRanges lists the ranges of a set of ranges, sorted. Those that no prefix can say are left out.
func readRanges(c *nftables.Conn, f nftables.Family, set setID) (list []netip.Prefix, err error) {
	var begins, ends []netip.Addr
	err = c.Elements(tableOf(f), set.name(), func(raw nftables.Element) {
		if at := addrOf(raw.Key); raw.IntervalEnd {
			ends = append(ends, at)
		} else {
			begins = append(begins, at)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading set %s of table %s: %w", set.name(), tableOf(f), err)
	}
	slices.SortFunc(begins, netip.Addr.Compare)
	for _, first := range begins {
		if p, ok := prefixOf(first, lastBefore(first, ends)); ok {
			list = append(list, p)
		}
	}
	return list, nil
}

// lastBefore is the last address of the range that begins at first: the one before the nearest end, or the last there
// is.
func lastBefore(first netip.Addr, ends []netip.Addr) netip.Addr {
	last := lastOf(netip.PrefixFrom(first, 0))
	for _, e := range ends {
		if before := e.Prev(); first.Less(e) && before.Less(last) {
			last = before
		}
	}
	return last
}

// fits reports whether the chains and rules of the layout are in the kernel as they should be. Chains of classes
// besides the layout's are no matter.
func (have found) fits(l *layout) bool {
	if !have.exists || slices.ContainsFunc(fixed(), func(s setID) bool { return !have.setFits(s) }) {
		return false
	}
	return !slices.ContainsFunc(l.chains, func(c chain) bool { return !have.chainFits(c) })
}

// setFits tells a set of ours from one that another version made with the same name.
func (have found) setFits(s setID) bool {
	flags, there := have.sets[s.name()]
	want := s.kernelSet(nftables.IPv4).KernelFlags() // the same in both families
	return there && flags&^unix.NFT_SET_CONSTANT == want
}

// chainFits compares a chain with the kernel's. A chain that leads to classes may have more rules than it begins with.
func (have found) chainFits(c chain) bool {
	got, there := have.chains[c.name]
	if !there || (got.hook == nil) != (c.hook == nil) {
		return false
	}
	if got.hook != nil && (got.hook.Number != c.hook.Number || got.hook.Priority != c.hook.Priority) {
		return false
	}
	if grows(c.name) {
		return true
	}
	return slices.EqualFunc(got.marks, c.rules, func(mark string, r rule) bool { return mark == r.mark() })
}

func grows(name string) bool {
	return name == chainMany || name == chainSticky || name == chainOutsideClasses
}
