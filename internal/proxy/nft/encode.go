package nft

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"viaduct/internal/routing"
)

// Attributes that the library does not name.
const (
	setElemKeyEnd = 10 // NFTA_SET_ELEM_KEY_END, Linux 5.6
	setDescConcat = 2  // NFTA_SET_DESC_CONCAT
	setFieldLen   = 1  // NFTA_SET_FIELD_LEN
	setElemEnd    = unix.NFT_SET_ELEM_INTERVAL_END
)

// protoNumber is the protocol as packets carry it.
func protoNumber(p routing.Proto) byte {
	switch p {
	case routing.TCP:
		return unix.IPPROTO_TCP
	case routing.UDP:
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_SCTP
}

func protoOf(n byte) routing.Proto {
	switch n {
	case unix.IPPROTO_TCP:
		return routing.TCP
	case unix.IPPROTO_UDP:
		return routing.UDP
	case unix.IPPROTO_SCTP:
		return routing.SCTP
	}
	return 0
}

// A message is one request to nftables, and for whom it is made.
type message struct {
	kind  uint16 // NFT_MSG_…
	flags uint16
	fam   family
	body  attrs
	owner routing.Name // zero: the table itself
}

func (f family) message(kind, flags uint16, fill func(*attrs)) message {
	m := message{kind: kind, flags: flags, fam: f}
	m.body.text(1, TableName) // NFTA_…_TABLE is 1 in every message but that of tables, where it is the name
	fill(&m.body)
	return m
}

func (f family) newTable() message {
	return f.message(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, func(*attrs) {})
}

func (f family) deleteTable() message {
	return f.message(unix.NFT_MSG_DELTABLE, 0, func(*attrs) {})
}

func (f family) newChain(c chain) message {
	return f.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, func(a *attrs) {
		a.text(unix.NFTA_CHAIN_NAME, c.name)
		if c.hook == "" {
			return
		}
		hooks := map[string]uint32{"prerouting": unix.NF_INET_PRE_ROUTING, "output": unix.NF_INET_LOCAL_OUT,
			"postrouting": unix.NF_INET_POST_ROUTING}
		a.nest(unix.NFTA_CHAIN_HOOK, func() {
			a.u32(unix.NFTA_HOOK_HOOKNUM, hooks[c.hook])
			a.u32(unix.NFTA_HOOK_PRIORITY, uint32(c.priority))
		})
		a.text(unix.NFTA_CHAIN_TYPE, "nat")
	})
}

func (f family) deleteChain(name string) message {
	return f.message(unix.NFT_MSG_DELCHAIN, 0, func(a *attrs) { a.text(unix.NFTA_CHAIN_NAME, name) })
}

func (f family) newRule(chain string, r rule) message {
	return f.message(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, func(a *attrs) {
		a.text(unix.NFTA_RULE_CHAIN, chain)
		a.nest(unix.NFTA_RULE_EXPRESSIONS, func() { *a = append(*a, r.exprs...) })
		a.bytes(unix.NFTA_RULE_USERDATA, commentData(r.mark()))
	})
}

// flushRules empties one chain, or all of the table's.
func (f family) flushRules(chain string) message {
	return f.message(unix.NFT_MSG_DELRULE, 0, func(a *attrs) {
		if chain != "" {
			a.text(unix.NFTA_RULE_CHAIN, chain)
		}
	})
}

// commentData is a comment as nft keeps it: type 0, a length, the text and its end.
func commentData(text string) []byte {
	return append(append([]byte{0, byte(len(text) + 1)}, text...), 0)
}

func (f family) newSet(s setID, number uint32) message {
	sp := s.kind.spec()
	flags := sp.flags
	if len(sp.data) > 0 {
		flags |= unix.NFT_SET_MAP
	}
	return f.message(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, func(a *attrs) {
		a.text(unix.NFTA_SET_NAME, s.name())
		a.u32(unix.NFTA_SET_FLAGS, flags)
		size, printed := f.layoutOf(sp.key)
		a.u32(unix.NFTA_SET_KEY_TYPE, printed)
		a.u32(unix.NFTA_SET_KEY_LEN, size)
		if len(sp.data) > 0 {
			size, printed := f.layoutOf(sp.data)
			a.u32(unix.NFTA_SET_DATA_TYPE, printed)
			a.u32(unix.NFTA_SET_DATA_LEN, size)
		}
		a.u32(unix.NFTA_SET_ID, number)
		f.describe(a, sp)
	})
}

// describe adds what the kernel must know of a set besides its key: its bound, and the fields of one with ranges.
func (f family) describe(a *attrs, sp *spec) {
	concat := sp.flags&setConcat != 0
	if sp.size == 0 && !concat {
		return
	}
	a.nest(unix.NFTA_SET_DESC, func() {
		if sp.size > 0 {
			a.u32(unix.NFTA_SET_DESC_SIZE, sp.size)
		}
		if !concat {
			return
		}
		a.nest(setDescConcat, func() {
			for _, part := range sp.key {
				size, _ := part.shape(f)
				a.nest(unix.NFTA_LIST_ELEM, func() { a.u32(setFieldLen, uint32(size)) })
			}
		})
	})
}

func (f family) deleteSet(name string) message {
	return f.message(unix.NFT_MSG_DELSET, 0, func(a *attrs) { a.text(unix.NFTA_SET_NAME, name) })
}

// flushSet removes all elements of a set.
func (f family) flushSet(s setID) message {
	return f.message(unix.NFT_MSG_DELSETELEM, 0, func(a *attrs) { a.text(unix.NFTA_SET_ELEM_LIST_SET, s.name()) })
}

// layoutOf is the length of fields together, and the type by which nft prints them. Several are padded to registers.
func (f family) layoutOf(fields []field) (size, printed uint32) {
	for _, part := range fields {
		n, t := part.shape(f)
		if len(fields) > 1 {
			n = (n + 3) &^ 3
		}
		size += uint32(n)
		printed = printed<<6 | t
	}
	return size, printed
}

// elementsMessage adds elements to a set or removes them from it. All are of one set and family.
func elementsMessage(kind uint16, owner routing.Name, list []op) message {
	first := list[0]
	f := first.family()
	flags := uint16(unix.NLM_F_CREATE)
	if kind == unix.NFT_MSG_DELSETELEM {
		flags = 0
	}
	m := message{kind: kind, flags: flags, fam: f, owner: owner, body: make(attrs, 0, 64+len(list)*96)}
	m.body.text(unix.NFTA_SET_ELEM_LIST_TABLE, TableName)
	m.body.text(unix.NFTA_SET_ELEM_LIST_SET, first.set.name())
	at := m.body.open(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	for i := range list {
		m.body.element(f, &list[i].element, kind == unix.NFT_MSG_NEWSETELEM)
	}
	m.body.close(at)
	return m
}

func (a *attrs) element(f family, e *element, withData bool) {
	sp := e.set.kind.spec()
	if e.set.kind == pods {
		a.rangeElements(f, e.from)
		return
	}
	at := a.open(unix.NFTA_LIST_ELEM)
	a.data(unix.NFTA_SET_ELEM_KEY, f, sp.key, e, false)
	if sp.flags&setConcat != 0 {
		a.data(setElemKeyEnd, f, sp.key, e, true)
	}
	if withData && len(sp.data) > 0 {
		a.data(unix.NFTA_SET_ELEM_DATA, f, sp.data, e, false)
	}
	if withData && e.comment != "" {
		a.bytes(unix.NFTA_SET_ELEM_USERDATA, commentData(e.comment))
	}
	a.close(at)
}

// rangeElements is a range in a set of ranges: an element where it begins, and one that ends it where the next would.
func (a *attrs) rangeElements(f family, p netip.Prefix) {
	one := func(addr netip.Addr, flags uint32) {
		a.nest(unix.NFTA_LIST_ELEM, func() {
			if flags != 0 {
				a.u32(unix.NFTA_SET_ELEM_FLAGS, flags)
			}
			a.nest(unix.NFTA_SET_ELEM_KEY, func() { a.bytes(unix.NFTA_DATA_VALUE, addr.AsSlice()) })
		})
	}
	one(p.Masked().Addr(), 0)
	if next := lastOf(p).Next(); next.IsValid() {
		one(next, setElemEnd)
	}
}

// lastOf is the last address of a range.
func lastOf(p netip.Prefix) netip.Addr {
	raw := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(raw)*8; bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(raw)
	return last
}

// data appends fields of e; end says that the end of a range is meant.
func (a *attrs) data(kind uint16, f family, fields []field, e *element, end bool) {
	outer := a.open(kind)
	inner := len(*a)
	*a = append(*a, 0, 0, 0, 0)
	for _, part := range fields {
		a.field(part, e, end)
		if len(fields) > 1 {
			a.pad()
		}
	}
	binary.NativeEndian.PutUint16((*a)[inner:], uint16(len(*a)-inner))
	binary.NativeEndian.PutUint16((*a)[inner+2:], unix.NFTA_DATA_VALUE)
	a.pad()
	a.close(outer)
}

func (a *attrs) field(part field, e *element, end bool) {
	switch part {
	case fAddr, fAgain:
		a.addr(e.dest.Addr.Addr())
	case fProto:
		*a = append(*a, protoNumber(e.dest.Proto))
	case fPort:
		*a = binary.BigEndian.AppendUint16(*a, e.dest.Addr.Port())
	case fSlot:
		*a = binary.NativeEndian.AppendUint32(*a, e.slot)
	case fClient:
		client := e.from.Addr()
		if end {
			client = lastOf(e.from)
		}
		a.addr(client)
	case fSlots:
		*a = binary.BigEndian.AppendUint16(*a, e.slots)
	case fToAddr:
		a.addr(e.target().Addr())
	case fToPort:
		*a = binary.BigEndian.AppendUint16(*a, e.target().Port())
	}
}

// target is what fToAddr and fToPort stand for: in the key of a member, in the data of a map.
func (e *element) target() netip.AddrPort {
	if e.set.kind == members {
		return e.key.to
	}
	return e.value.to
}

func (a *attrs) addr(addr netip.Addr) {
	if addr.Is4() {
		raw := addr.As4()
		*a = append(*a, raw[:]...)
		return
	}
	raw := addr.As16()
	*a = append(*a, raw[:]...)
}
