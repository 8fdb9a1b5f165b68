package nft

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// attrs is a list of netlink attributes in the making.
type attrs []byte

const nested = unix.NLA_F_NESTED

func (a *attrs) bytes(kind uint16, value []byte) {
	*a = binary.NativeEndian.AppendUint16(*a, uint16(4+len(value)))
	*a = binary.NativeEndian.AppendUint16(*a, kind)
	*a = append(*a, value...)
	a.pad()
}

func (a *attrs) text(kind uint16, s string) {
	*a = binary.NativeEndian.AppendUint16(*a, uint16(4+len(s)+1))
	*a = binary.NativeEndian.AppendUint16(*a, kind)
	*a = append(append(*a, s...), 0)
	a.pad()
}

// u32 appends a number; nftables wants them in network order.
func (a *attrs) u32(kind uint16, n uint32) {
	*a = binary.NativeEndian.AppendUint16(*a, 8)
	*a = binary.NativeEndian.AppendUint16(*a, kind)
	*a = binary.BigEndian.AppendUint32(*a, n)
}

func (a *attrs) u64(kind uint16, n uint64) {
	*a = binary.NativeEndian.AppendUint16(*a, 12)
	*a = binary.NativeEndian.AppendUint16(*a, kind)
	*a = binary.BigEndian.AppendUint64(*a, n)
}

// nest appends an attribute that holds what fill appends.
func (a *attrs) nest(kind uint16, fill func()) {
	at := a.open(kind)
	fill()
	a.close(at)
}

// open begins a nested attribute, which close ends: nest without a closure, for where there are many.
func (a *attrs) open(kind uint16) (at int) {
	at = len(*a)
	*a = binary.NativeEndian.AppendUint16(*a, 0)
	*a = binary.NativeEndian.AppendUint16(*a, kind|nested)
	return at
}

func (a *attrs) close(at int) {
	binary.NativeEndian.PutUint16((*a)[at:], uint16(len(*a)-at))
}

func (a *attrs) pad() {
	for len(*a)%4 != 0 {
		*a = append(*a, 0)
	}
}

// walk calls f for each attribute of b, with its kind freed of flags. It stops at what is cut short.
func walk(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}

func textOf(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

func u32Of(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}
