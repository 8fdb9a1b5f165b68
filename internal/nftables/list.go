package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// listTries bounds how often a listing is repeated because the tables change during it.
const listTries = 20

// ErrChanged means that other processes changed the tables during each of several attempts to list them.
var ErrChanged = errors.New("the tables keep changing while they are listed")

// dump asks for all objects of one kind and calls each with the attributes of every one. ErrChanged means that the
// answer is inconsistent.
func (c *Conn) dump(m Message, each func(attributes []byte)) error {
	c.out = c.out[:0]
	c.append(messageType(m.kind), m.flags|unix.NLM_F_DUMP, m.fam, 0, m.body)
	seq := c.seq
	if err := unix.Sendto(c.fd, c.out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("asking nftables: %w", err)
	}
	for over, changed := false, false; ; {
		err := c.receive(func(a answer) error {
			switch {
			case a.seq != seq:
				return nil
			case a.kind == unix.NLMSG_ERROR || a.kind == unix.NLMSG_DONE:
				over = true
				if errno := a.errno(); errno != 0 {
					return errno
				}
			default:
				each(a.attributes())
			}
			changed = changed || a.flags&unix.NLM_F_DUMP_INTR != 0
			return nil
		})
		if errors.Is(err, unix.EINTR) || err == nil && over && changed {
			return ErrChanged
		}
		if err != nil || over {
			return err
		}
	}
}

// list returns the objects that decode accepts, from a dump without a change during it.
func list[T any](c *Conn, m Message, decode func(attributes []byte) (T, bool)) (objects []T, err error) {
	for range listTries {
		objects = nil
		err = c.dump(m, func(attributes []byte) {
			if one, ok := decode(attributes); ok {
				objects = append(objects, one)
			}
		})
		if !errors.Is(err, ErrChanged) {
			break
		}
	}
	return objects, err
}

// Tables lists the names of the family's tables.
func (c *Conn) Tables(f Family) ([]string, error) {
	return list(c, Message{kind: unix.NFT_MSG_GETTABLE, fam: f}, func(b []byte) (string, bool) {
		return text(find(b, unix.NFTA_TABLE_NAME)), true
	})
}

// Chains lists the chains of a table; none if there is no such table.
func (c *Conn) Chains(t Table) ([]Chain, error) {
	// The message names no table: the kernel lists those of all tables in any case.
	return list(c, Message{kind: unix.NFT_MSG_GETCHAIN, fam: t.Family}, func(b []byte) (Chain, bool) {
		return decodeChain(b), text(find(b, unix.NFTA_CHAIN_TABLE)) == t.Name
	})
}

func decodeChain(b []byte) Chain {
	chain := Chain{Name: text(find(b, unix.NFTA_CHAIN_NAME))}
	hook := find(b, unix.NFTA_CHAIN_HOOK)
	if hook == nil {
		return chain
	}
	policy := find(b, unix.NFTA_CHAIN_POLICY)
	chain.Hook = &Hook{
		Type:     text(find(b, unix.NFTA_CHAIN_TYPE)),
		Number:   number(find(hook, unix.NFTA_HOOK_HOOKNUM)),
		Priority: int32(number(find(hook, unix.NFTA_HOOK_PRIORITY))),
		Drop:     policy != nil && number(policy) == verdictDrop,
	}
	return chain
}

// Rules lists the rules of a table, those of a chain in their order; none if there is no such table.
func (c *Conn) Rules(t Table) ([]Rule, error) {
	return list(c, t.message(unix.NFT_MSG_GETRULE, 0), func(b []byte) (Rule, bool) {
		return decodeRule(b), text(find(b, unix.NFTA_RULE_TABLE)) == t.Name
	})
}

func decodeRule(b []byte) Rule {
	r := Rule{
		Chain:   text(find(b, unix.NFTA_RULE_CHAIN)),
		Comment: commentOf(find(b, unix.NFTA_RULE_USERDATA)),
		Target:  target(find(b, unix.NFTA_RULE_EXPRESSIONS)),
	}
	if handle := find(b, unix.NFTA_RULE_HANDLE); len(handle) >= 8 {
		r.Handle = binary.BigEndian.Uint64(handle)
	}
	return r
}

// target is the chain that the first verdict with a chain names.
func target(expressions []byte) string {
	for _, one := range Attributes(expressions) {
		if text(find(one, unix.NFTA_EXPR_NAME)) != "immediate" {
			continue
		}
		data := find(find(one, unix.NFTA_EXPR_DATA), unix.NFTA_IMMEDIATE_DATA)
		if chain := find(find(data, unix.NFTA_DATA_VERDICT), unix.NFTA_VERDICT_CHAIN); chain != nil {
			return text(chain)
		}
	}
	return ""
}

// Sets returns the flags (NFT_SET_…) of a table's sets by their names; none if there is no such table.
func (c *Conn) Sets(t Table) (map[string]uint32, error) {
	type named struct {
		name  string
		flags uint32
	}
	all, err := list(c, t.message(unix.NFT_MSG_GETSET, 0), func(b []byte) (named, bool) {
		s := named{text(find(b, unix.NFTA_SET_NAME)), number(find(b, unix.NFTA_SET_FLAGS))}
		return s, text(find(b, unix.NFTA_SET_TABLE)) == t.Name
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	flags := make(map[string]uint32, len(all))
	for _, s := range all {
		flags[s.name] = s.flags
	}
	return flags, nil
}

// Elements calls each for the elements of a set; for none if there is no such set. Keys and data are valid during the
// call. If other processes change the set during the listing, or the kernel resizes it, each may see an element twice
// or miss one, and may see one that is gone.
func (c *Conn) Elements(t Table, set string, each func(Element)) error {
	ask := t.message(unix.NFT_MSG_GETSETELEM, 0)
	ask.body.Text(unix.NFTA_SET_ELEM_LIST_SET, set)
	err := ErrChanged
	for try := 0; try < listTries && errors.Is(err, ErrChanged); try++ {
		err = c.dump(ask, func(b []byte) { decodeElements(b, each) })
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
