package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
)

// found is the state of one family's table in the kernel, without elements.
type found struct {
	exists bool
	chains map[string]foundChain
	sets   map[string]uint32 // flags (NFT_SET_…) by name
}

type foundChain struct {
	hook  *nftables.Hook // of a base chain, else nil
	marks []string       // of the rules, in their order
}

// readTable lists the chains, rules and sets of a family's table.
func readTable(c *nftables.Conn, f nftables.Family) (found, error) {
	have := found{chains: map[string]foundChain{}}
	err := have.read(c, tableOf(f))
	if errors.Is(err, unix.EPERM) {
		return have, fmt.Errorf("access to nftables needs root (CAP_NET_ADMIN): %w", err)
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

// readSet calls each for every element of one set. A set that does not exist has no elements. If other programs change
// the set during the listing, each may get an element twice, or an element that was removed.
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

// readRanges lists the prefixes of a set of ranges, sorted. It leaves out ranges that are no prefixes.
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

// lastBefore is the last address of the range that begins at first: the address before the nearest end, or the last
// address of the family.
func lastBefore(first netip.Addr, ends []netip.Addr) netip.Addr {
	last := lastOf(netip.PrefixFrom(first, 0))
	for _, e := range ends {
		if before := e.Prev(); first.Less(e) && before.Less(last) {
			last = before
		}
	}
	return last
}

// fits reports whether the kernel has the sets, chains and rules of the layout. Chains of further classes may exist.
func (have found) fits(l *layout) bool {
	if !have.exists || slices.ContainsFunc(fixed(), func(s setID) bool { return !have.setFits(s) }) {
		return false
	}
	return !slices.ContainsFunc(l.chains, func(c chain) bool { return !have.chainFits(c) })
}

// setFits reports whether the kernel has the set with the right flags. Another version may have made a set of this
// name.
func (have found) setFits(s setID) bool {
	flags, there := have.sets[s.name()]
	want := s.kernelSet(nftables.IPv4).KernelFlags() // the same in both families
	return there && flags&^unix.NFT_SET_CONSTANT == want
}

// chainFits reports whether the kernel has the chain with its rules. A chain that leads to classes may have any rules.
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

// grows reports whether rules are added to the chain on demand.
func grows(name string) bool {
	return name == chainMany || name == chainSticky || name == chainOutsideClasses
}
