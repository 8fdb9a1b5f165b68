package nft

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

// protoNumber is the number of the protocol in packets (IPPROTO_…).
func protoNumber(p routing.Proto) byte {
	switch p { // others: SCTP
	case routing.TCP:
		return unix.IPPROTO_TCP
	case routing.UDP:
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_SCTP
}

// protoOf is the protocol of a number; 0 for other protocols.
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

// tableOf is Viaduct's table of a family.
func tableOf(f nftables.Family) nftables.Table { return nftables.Table{Family: f, Name: TableName} }

// kernelRule is the rule as package nftables adds it to a chain.
func (r rule) kernelRule(chain string) nftables.Rule {
	return nftables.Rule{Chain: chain, Comment: r.mark(), Exprs: r.exprs}
}

// kernelSet is the set as package nftables adds it to the table of a family.
func (s setID) kernelSet(f nftables.Family) nftables.Set {
	sp := s.kind.spec()
	set := nftables.Set{Name: s.name(), Flags: sp.flags, Limit: sp.size}
	for _, part := range sp.key {
		set.Key = append(set.Key, part.dataType(f))
	}
	set.Goto = sp.leads()
	for _, part := range sp.values() {
		set.Data = append(set.Data, part.dataType(f))
	}
	return set
}

// addElements makes the message that adds the elements of ops. All belong to one set and family.
func addElements(list []op) nftables.Message {
	return tableOf(list[0].family()).AddElements(list[0].set.name(), encodeElements(list))
}

// deleteElements makes the message that removes the elements of ops. All belong to one set and family.
func deleteElements(list []op) nftables.Message {
	return tableOf(list[0].family()).DeleteElements(list[0].set.name(), encodeElements(list))
}

// encodeElements encodes the elements of ops. All keys and data share one buffer.
func encodeElements(list []op) []nftables.Element {
	out := make([]nftables.Element, 0, len(list))
	buf := make([]byte, 0, 64*len(list))
	for i := range list {
		e := &list[i].element
		if e.set.kind == pods {
			out = append(out, encodeRange(e.from)...)
			continue
		}
		sp := e.set.kind.spec()
		one := nftables.Element{Comment: e.comment, Goto: e.chain}
		buf, one.Key = e.encode(buf, sp.key, false)
		if sp.flags&nftables.SetConcat != 0 {
			buf, one.KeyEnd = e.encode(buf, sp.key, true)
		}
		if len(sp.values()) > 0 {
			buf, one.Data = e.encode(buf, sp.values(), false)
		}
		out = append(out, one)
	}
	return out
}

// encodeRange encodes a range of addresses: one element for its first address, and an end for the address after its
// last. A range up to the last address of the family has no end.
func encodeRange(p netip.Prefix) []nftables.Element {
	list := []nftables.Element{{Key: p.Masked().Addr().AsSlice()}}
	if next := lastOf(p).Next(); next.IsValid() {
		list = append(list, nftables.Element{Key: next.AsSlice(), IntervalEnd: true})
	}
	return list
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

// encode appends fields of e to buf, and returns both the longer buffer and the part that it appended. end selects the
// last address of a range instead of the first.
func (e *element) encode(buf []byte, fields []field, end bool) (longer, value []byte) {
	from := len(buf)
	for _, part := range fields {
		buf = e.appendField(buf, part, end)
		for len(fields) > 1 && (len(buf)-from)%4 != 0 {
			buf = append(buf, 0)
		}
	}
	return buf, buf[from:len(buf):len(buf)]
}

func (e *element) appendField(buf []byte, part field, end bool) []byte {
	switch part {
	case fAddr, fAgain:
		return appendAddr(buf, e.dest.Addr.Addr())
	case fProto:
		return append(buf, protoNumber(e.dest.Proto))
	case fPort:
		return binary.BigEndian.AppendUint16(buf, e.dest.Addr.Port())
	case fSlot:
		return binary.NativeEndian.AppendUint32(buf, e.slot)
	case fClient:
		if end {
			return appendAddr(buf, lastOf(e.from))
		}
		return appendAddr(buf, e.from.Addr())
	case fSlots:
		return binary.BigEndian.AppendUint16(buf, e.slots)
	case fToAddr:
		return appendAddr(buf, e.target().Addr())
	case fToPort:
		return binary.BigEndian.AppendUint16(buf, e.target().Port())
	case fChain: // no bytes: nftables.Element.Goto
	}
	return buf
}

// target is the address and port of the fields fToAddr and fToPort: part of the key in the set members, data in maps.
func (e *element) target() netip.AddrPort {
	if e.set.kind == members {
		return e.key.to
	}
	return e.value.to
}

func appendAddr(buf []byte, addr netip.Addr) []byte {
	if addr.Is4() {
		raw := addr.As4()
		return append(buf, raw[:]...)
	}
	raw := addr.As16()
	return append(buf, raw[:]...)
}
