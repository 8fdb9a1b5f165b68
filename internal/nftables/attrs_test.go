package nftables

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// The bytes are those of struct nlattr on a little-endian machine: length, type, value, padding.
func TestAttrsBytes(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the expected bytes are those of a little-endian machine")
	}
	var a Attrs
	a.Bytes(1, []byte{0xaa})
	a.Text(2, "ab")
	a.Uint32(3, 0x01020304)
	a.Uint64(4, 0x05060708)
	a.Nest(5, func() { a.Bytes(6, nil) })
	want := []byte{
		5, 0, 1, 0, 0xaa, 0, 0, 0,
		7, 0, 2, 0, 'a', 'b', 0, 0,
		8, 0, 3, 0, 1, 2, 3, 4,
		12, 0, 4, 0, 0, 0, 0, 0, 5, 6, 7, 8,
		8, 0, 5, 0x80, 4, 0, 6, 0,
	}
	if !bytes.Equal(a, want) {
		t.Errorf("got\n%v, want\n%v", []byte(a), want)
	}
}

func TestAttributesReadWhatAttrsWrites(t *testing.T) {
	var a Attrs
	a.Text(1, "viaduct")
	a.Uint32(2, 7)
	a.Nest(3, func() { a.Bytes(4, []byte("inner")) })
	var kinds []uint16
	for kind := range Attributes(a) {
		kinds = append(kinds, kind)
	}
	if want := []uint16{1, 2, 3}; !slices.Equal(kinds, want) {
		t.Errorf("kinds %v, want %v", kinds, want)
	}
	if got := text(find(a, 1)); got != "viaduct" {
		t.Errorf("text %q", got)
	}
	if got := number(find(a, 2)); got != 7 {
		t.Errorf("number %d", got)
	}
	if got := find(find(a, 3), 4); string(got) != "inner" {
		t.Errorf("nested %q", got)
	}
	if got := find(a, 9); got != nil {
		t.Errorf("an attribute that is not there: %v", got)
	}
}

func TestAttributesStopAtNonsense(t *testing.T) {
	var a Attrs
	a.Uint32(1, 1)
	for name, tail := range map[string][]byte{
		"cut short": {1}, "a length below the header's": {3, 0, 1, 0}, "a length beyond the end": {9, 0, 1, 0, 0},
	} {
		n := 0
		for range Attributes(append(slices.Clone(a), tail...)) {
			n++
		}
		if n != 1 {
			t.Errorf("%s: %d attributes, want 1", name, n)
		}
	}
	if got := number([]byte{1, 2}); got != 0 {
		t.Errorf("a number of two bytes: %d", got)
	}
}

func FuzzDecode(f *testing.F) {
	table := Table{IPv4, "t"}
	e := Exprs{Family: IPv4}
	e.Jump("c")
	f.Add([]byte(table.AddRule(Rule{Chain: "a", Comment: "b", Exprs: e.Attrs}).body))
	f.Add([]byte(table.AddChain(Chain{Name: "c", Hook: &Hook{"nat", unix.NF_INET_LOCAL_OUT, -100, true}}).body))
	f.Add([]byte(table.AddElements("s", []Element{{Key: []byte{1}, KeyEnd: []byte{2}, Data: []byte{3}}}).body))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		size := 0
		for _, value := range Attributes(b) {
			size += attrHeader + len(value)
		}
		if size > len(b) {
			t.Errorf("%d bytes of attributes in %d", size, len(b))
		}
		decodeElements(b, func(e Element) {
			if len(e.Key)+len(e.KeyEnd)+len(e.Data)+len(e.Comment) > len(b) {
				t.Errorf("%v is longer than its message", e)
			}
		})
		if r := decodeRule(b); len(r.Comment) > len(b) || len(r.Target) > len(b) {
			t.Errorf("%v is longer than its message", r)
		}
		if c := decodeChain(b); len(c.Name) > len(b) {
			t.Errorf("%v is longer than its message", c)
		}
		_ = decodeAnswers(b, func(a answer) error {
			if a.kind == unix.NLMSG_ERROR {
				_ = a.errno()
			}
			if len(a.attributes()) > len(b) {
				t.Errorf("%v is longer than its datagram", a)
			}
			return nil
		})
	})
}
