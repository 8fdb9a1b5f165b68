package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// listTries bounds how often a listing is asked for again because somebody keeps changing the tables.
const listTries = 20

// found is what the kernel holds of the table of one family.
type found struct {
	exists bool
	chains map[string]foundChain
	sets   map[string]uint32 // their flags
}

type foundChain struct {
	hook  *chain // what a base chain is hooked to, else nil
	marks []string
}

// read lists the table's chains, rules and sets, but no elements.
func (s *socket) read(f family) (have found, err error) {
	for range listTries {
		have = found{chains: map[string]foundChain{}, sets: map[string]uint32{}}
		for _, part := range []func(family, *found) error{s.readTables, s.readChains, s.readRules, s.readSets} {
			if err = part(f, &have); err != nil {
				break
			}
		}
		if !errors.Is(err, errChanged) {
			break
		}
	}
	if errors.Is(err, unix.EPERM) {
		return have, fmt.Errorf("the kernel's tables are for root (CAP_NET_ADMIN): %w", err)
	}
	if err != nil {
		return have, fmt.Errorf("reading table %s %s: %w", f, TableName, err)
	}
	return have, nil
}

// everything asks for all objects of one kind; ours are picked from the answers, for not every kernel filters them.
func everything(kind uint16, f family) message { return message{kind: kind, fam: f} }

func (s *socket) readTables(f family, have *found) error {
	return s.list(everything(unix.NFT_MSG_GETTABLE, f), func(body []byte) {
		have.exists = have.exists || textOf(attr(body, unix.NFTA_TABLE_NAME)) == TableName
	})
}

func (s *socket) readChains(f family, have *found) error {
	return s.list(everything(unix.NFT_MSG_GETCHAIN, f), func(body []byte) {
		if textOf(attr(body, unix.NFTA_CHAIN_TABLE)) != TableName {
			return
		}
		c := chain{name: textOf(attr(body, unix.NFTA_CHAIN_NAME))}
		got := foundChain{}
		if hook := attr(body, unix.NFTA_CHAIN_HOOK); hook != nil {
			names := map[uint32]string{unix.NF_INET_PRE_ROUTING: "prerouting", unix.NF_INET_LOCAL_OUT: "output",
				unix.NF_INET_POST_ROUTING: "postrouting"}
			c.hook, c.priority = names[u32Of(attr(hook, unix.NFTA_HOOK_HOOKNUM))],
				int32(u32Of(attr(hook, unix.NFTA_HOOK_PRIORITY)))
			got.hook = &c
		}
		have.chains[c.name] = got
	})
}

func (s *socket) readRules(f family, have *found) error {
	ask := f.message(unix.NFT_MSG_GETRULE, 0, func(*attrs) {})
	return s.list(ask, func(body []byte) {
		if textOf(attr(body, unix.NFTA_RULE_TABLE)) != TableName {
			return
		}
		name := textOf(attr(body, unix.NFTA_RULE_CHAIN))
		c := have.chains[name]
		c.marks = append(c.marks, commentOf(attr(body, unix.NFTA_RULE_USERDATA)))
		have.chains[name] = c
	})
}

// commentOf reads the comment in the user data of a rule; empty when there is none.
func commentOf(b []byte) string {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		if b[0] == 0 {
			return textOf(b[2 : 2+int(b[1])])
		}
		b = b[2+int(b[1]):]
	}
	return ""
}

func (s *socket) readSets(f family, have *found) error {
	ask := f.message(unix.NFT_MSG_GETSET, 0, func(*attrs) {})
	err := s.list(ask, func(body []byte) {
		if textOf(attr(body, unix.NFTA_SET_TABLE)) == TableName {
			have.sets[textOf(attr(body, unix.NFTA_SET_NAME))] = u32Of(attr(body, unix.NFTA_SET_FLAGS))
		}
	})
	if errors.Is(err, unix.ENOENT) { // there is no such table
		return nil
	}
	return err
}

func attr(body []byte, want uint16) (value []byte) {
	walk(body, func(kind uint16, v []byte) {
		if kind == want && value == nil {
			value = v
		}
	})
	return value
}

// elements lists those of one set. A set that is not there has none. If somebody changes the set meanwhile, elements
// may come twice, and some that are gone.
func (s *socket) elements(f family, set setID, each func(element)) error {
	return s.setElements(f, set, func(body []byte) { decodeElements(f, set, body, each) })
}

func (s *socket) setElements(f family, set setID, each func(body []byte)) (err error) {
	ask := f.message(unix.NFT_MSG_GETSETELEM, 0, func(a *attrs) { a.text(unix.NFTA_SET_ELEM_LIST_SET, set.name()) })
	for range listTries {
		if err = s.list(ask, each); !errors.Is(err, errChanged) {
			break
		}
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("reading set %s of table %s %s: %w", set.name(), f, TableName, err)
	}
	return nil
}

// ranges lists the ranges of a set of ranges, sorted. Those that no prefix can say are left out.
func (s *socket) ranges(f family, set setID) (list []netip.Prefix, err error) {
	begins, ends := []netip.Addr(nil), []netip.Addr(nil)
	err = s.setElements(f, set, func(body []byte) {
		walk(attr(body, unix.NFTA_SET_ELEM_LIST_ELEMENTS), func(_ uint16, one []byte) {
			at := addrOf(dataOf(attr(one, unix.NFTA_SET_ELEM_KEY)))
			if u32Of(attr(one, unix.NFTA_SET_ELEM_FLAGS))&setElemEnd != 0 {
				ends = append(ends, at)
			} else {
				begins = append(begins, at)
			}
		})
	})
	slices.SortFunc(begins, netip.Addr.Compare)
	for _, first := range begins {
		if p, ok := prefixOf(first, lastBefore(first, ends)); ok {
			list = append(list, p)
		}
	}
	return list, err
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
	want := s.kind.spec().flags
	if len(s.kind.spec().data) > 0 {
		want |= unix.NFT_SET_MAP
	}
	return there && flags&^unix.NFT_SET_CONSTANT == want
}

// chainFits compares a chain with the kernel's. A chain that leads to classes may have more rules than it begins with.
func (have found) chainFits(c chain) bool {
	got, there := have.chains[c.name]
	if !there || (got.hook == nil) != (c.hook == "") {
		return false
	}
	if got.hook != nil && (got.hook.hook != c.hook || got.hook.priority != c.priority) {
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
