package nft

import (
	"encoding/binary"
	"net/netip"

	"viaduct/internal/nftables"
)

// decodeElement decodes an element of a set. ok is false if this package does not write such elements: other programs
// can add any element to a set.
func decodeElement(f nftables.Family, s setID, in nftables.Element) (e element, ok bool) {
	sp := s.kind.spec()
	e.set, e.comment = s, in.Comment
	if !e.decode(f, sp.key, in.Key) || in.IntervalEnd {
		return e, false
	}
	e.decode(f, sp.values(), in.Data)
	e.chain = in.Goto
	if s.kind == allowed {
		end := element{key: key{set: s}}
		end.decode(f, sp.key, in.KeyEnd)
		e.from, ok = prefixOf(e.from.Addr(), end.from.Addr())
		return e, ok
	}
	return e, true
}

// decode sets the fields of e from the bytes of a key or of data. It returns false if b is too short.
func (e *element) decode(f nftables.Family, fields []field, b []byte) bool {
	var to netip.Addr
	for _, part := range fields {
		size := int(part.dataType(f).Size)
		if len(b) < size {
			return false
		}
		v := b[:size]
		switch part { // others: the kernel fills them in, and nothing is compared with them
		case fAddr:
			e.dest.Addr = netip.AddrPortFrom(addrOf(v), e.dest.Addr.Port())
		case fProto:
			e.dest.Proto = protoOf(v[0])
		case fPort:
			e.dest.Addr = netip.AddrPortFrom(e.dest.Addr.Addr(), binary.BigEndian.Uint16(v))
		case fSlot:
			e.slot = binary.NativeEndian.Uint32(v)
		case fClient:
			e.from = netip.PrefixFrom(addrOf(v), 8*size)
		case fSlots:
			e.slots = binary.BigEndian.Uint16(v)
		case fToAddr:
			to = addrOf(v)
		case fToPort:
			e.setTarget(netip.AddrPortFrom(to, binary.BigEndian.Uint16(v)))
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return true
}

// setTarget is the reverse of target.
func (e *element) setTarget(to netip.AddrPort) {
	if e.set.kind == members {
		e.key.to = to
		return
	}
	e.value.to = to
}

func addrOf(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// prefixOf is the prefix of the addresses from first to last. ok is false if no prefix has exactly these addresses.
func prefixOf(first, last netip.Addr) (p netip.Prefix, ok bool) {
	for bits := first.BitLen(); bits >= 0; bits-- {
		p = netip.PrefixFrom(first, bits)
		if p.Masked().Addr() != first {
			break
		}
		if lastOf(p) == last {
			return p, true
		}
	}
	return netip.Prefix{}, false
}
