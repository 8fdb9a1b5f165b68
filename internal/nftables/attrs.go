package nftables

import (
	"encoding/binary"
	"iter"

	"golang.org/x/sys/unix"
)

// Attrs is a list of netlink attributes (struct nlattr) under construction. Its methods append one attribute each,
// padded to 4 bytes. A value has at most 65,531 bytes.
type Attrs []byte

// attrHeader is the length of struct nlattr, in bytes.
const attrHeader = 4

// Bytes appends an attribute with a value of raw bytes.
func (a *Attrs) Bytes(kind uint16, value []byte) {
	a.header(kind, len(value))
	*a = append(*a, value...)
	a.pad()
}

// Text appends a string with a terminating zero, as the kernel's NLA_STRING and NLA_NUL_STRING take it.
func (a *Attrs) Text(kind uint16, s string) {
	a.header(kind, len(s)+1)
	*a = append(append(*a, s...), 0)
	a.pad()
}

// Uint32 appends a number in network byte order, which nf_tables demands of all its numbers.
func (a *Attrs) Uint32(kind uint16, n uint32) {
	a.header(kind, 4)
	*a = binary.BigEndian.AppendUint32(*a, n)
}

// Uint64 appends a number in network byte order.
func (a *Attrs) Uint64(kind uint16, n uint64) {
	a.header(kind, 8)
	*a = binary.BigEndian.AppendUint64(*a, n)
}

// Nest appends an attribute that holds the attributes that fill appends.
func (a *Attrs) Nest(kind uint16, fill func()) {
	at := a.open(kind)
	fill()
	a.close(at)
}

// open begins an attribute that holds all that is appended until close(at). It does what Nest does, without a closure.
func (a *Attrs) open(kind uint16) (at int) {
	at = len(*a)
	a.header(kind|unix.NLA_F_NESTED, 0)
	return at
}

// close ends the attribute that open began.
func (a *Attrs) close(at int) {
	binary.NativeEndian.PutUint16((*a)[at:], uint16(len(*a)-at))
}

// pad appends zeros up to a multiple of 4 bytes.
func (a *Attrs) pad() {
	for len(*a)%4 != 0 {
		*a = append(*a, 0)
	}
}

func (a *Attrs) header(kind uint16, size int) {
	*a = binary.NativeEndian.AppendUint16(*a, uint16(attrHeader+size))
	*a = binary.NativeEndian.AppendUint16(*a, kind)
}

// Attributes yields the attributes of b in order: the kind without its flags, and the value, which aliases b. It stops
// at the first attribute whose length makes no sense.
func Attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for kind, value, rest, ok := next(b); ok; kind, value, rest, ok = next(rest) {
			if !yield(kind, value) {
				return
			}
		}
	}
}

// next splits the first attribute from b. It is Attributes without an allocation, for the elements of large sets.
func next(b []byte) (kind uint16, value, rest []byte, ok bool) {
	if len(b) < attrHeader {
		return 0, nil, nil, false
	}
	size := int(binary.NativeEndian.Uint16(b))
	if size < attrHeader || size > len(b) {
		return 0, nil, nil, false
	}
	kind = binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
	return kind, b[attrHeader:size], b[min((size+3)&^3, len(b)):], true
}

// find returns the value of the first attribute of a kind, or nil.
func find(b []byte, want uint16) []byte {
	for kind, value, rest, ok := next(b); ok; kind, value, rest, ok = next(rest) {
		if kind == want {
			return value
		}
	}
	return nil
}

// text reads what Attrs.Text wrote. The terminating zero may be missing.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// number reads what Attrs.Uint32 wrote; 0 if b is too short.
func number(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}
