package nft

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"viaduct/internal/routing"
)

// decodeElements reads the elements of one message about a set. What is not as we would write it (a foreign hand can
// put anything into a set) comes out as some other element than ours, or as none.
func decodeElements(f family, s setID, body []byte, each func(element)) {
	walk(body, func(kind uint16, list []byte) {
		if kind != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			return
		}
		walk(list, func(_ uint16, one []byte) {
			if e, ok := decodeElement(f, s, one); ok {
				each(e)
			}
		})
	})
}

func decodeElement(f family, s setID, b []byte) (e element, ok bool) {
	sp := s.kind.spec()
	e.set = s
	var end element
	var flags uint32
	walk(b, func(kind uint16, v []byte) {
		switch kind {
		case unix.NFTA_SET_ELEM_KEY:
			ok = e.read(f, sp.key, dataOf(v))
		case setElemKeyEnd:
			end.set = s
			end.read(f, sp.key, dataOf(v))
		case unix.NFTA_SET_ELEM_DATA:
			e.read(f, sp.data, dataOf(v))
		case unix.NFTA_SET_ELEM_USERDATA:
			e.comment = commentOf(v)
		case unix.NFTA_SET_ELEM_FLAGS:
			flags = u32Of(v)
		}
	})
	if s.kind == allowed {
		e.from, ok = prefixOf(e.from.Addr(), end.from.Addr())
	}
	return e, ok && flags&setElemEnd == 0
}

func dataOf(b []byte) (data []byte) {
	walk(b, func(kind uint16, v []byte) {
		if kind == unix.NFTA_DATA_VALUE {
			data = v
		}
	})
	return data
}

// read fills the fields of e from the bytes of a key or of data; false when there are too few.
func (e *element) read(f family, fields []field, b []byte) bool {
	var to netip.Addr
	for _, part := range fields {
		size, _ := part.shape(f)
		if len(b) < size {
			return false
		}
		v := b[:size]
		switch part {
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

// prefixOf is the range from first to last, if it is one that a prefix can say.
func prefixOf(first, last netip.Addr) (netip.Prefix, bool) {
	for bits := first.BitLen(); bits >= 0; bits-- {
		p := netip.PrefixFrom(first, bits)
		if p.Masked().Addr() != first {
			break
		}
		if lastOf(p) == last {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// destOf makes a Dest of its parts, for tests and for what people type.
func destOf(addr netip.Addr, port uint16, proto routing.Proto) routing.Dest {
	return routing.Dest{Addr: netip.AddrPortFrom(addr, port), Proto: proto}
}
