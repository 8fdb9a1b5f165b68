package nftables

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// The bytes of a comparison with port 80 and of a jump, as nf_tables.h defines them.
func TestExprsBytes(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the expected bytes are those of a little-endian machine")
	}
	e := Exprs{Family: IPv4}
	e.CompareUint16(1, unix.NFT_CMP_EQ, 80)
	e.Jump("c")
	want := []byte{
		44, 0, 1, 0x80, // NFTA_LIST_ELEM
		8, 0, 1, 0, 'c', 'm', 'p', 0, // NFTA_EXPR_NAME
		32, 0, 2, 0x80, // NFTA_EXPR_DATA
		8, 0, 1, 0, 0, 0, 0, 9, // NFTA_CMP_SREG: NFT_REG32_01
		8, 0, 2, 0, 0, 0, 0, 0, // NFTA_CMP_OP: NFT_CMP_EQ
		12, 0, 3, 0x80, 6, 0, 1, 0, 0, 80, 0, 0, // NFTA_CMP_DATA, NFTA_DATA_VALUE
		56, 0, 1, 0x80,
		14, 0, 1, 0, 'i', 'm', 'm', 'e', 'd', 'i', 'a', 't', 'e', 0, 0, 0,
		36, 0, 2, 0x80,
		8, 0, 1, 0, 0, 0, 0, 0, // NFTA_IMMEDIATE_DREG: NFT_REG_VERDICT
		24, 0, 2, 0x80, 20, 0, 2, 0x80, // NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT
		8, 0, 1, 0, 0xff, 0xff, 0xff, 0xfd, // NFTA_VERDICT_CODE: NFT_JUMP
		6, 0, 2, 0, 'c', 0, 0, 0, // NFTA_VERDICT_CHAIN
	}
	if !bytes.Equal(e.Attrs, want) {
		t.Errorf("got\n%v, want\n%v", []byte(e.Attrs), want)
	}
	if got := target(e.Attrs); got != "c" {
		t.Errorf("the rule leads to %q", got)
	}
}

// The kernel takes every expression, in both families.
func TestKernelTakesEveryExpression(t *testing.T) {
	write := map[string]func(e *Exprs){
		"addresses and port": func(e *Exprs) { e.SourceAddr(0); e.DestAddr(4); e.DestPort(8) },
		"meta":               func(e *Exprs) { e.L4Proto(0); e.Meta(1, unix.NFT_META_OIFNAME) },
		"ct":                 func(e *Exprs) { e.CT(0, unix.NFT_CT_STATUS); e.CTOriginal(1, unix.NFT_CT_PROTO_DST) },
		"random":             func(e *Exprs) { e.RandomNumber(0, 7) },
		"next":               func(e *Exprs) { e.NextNumber(0, 7) },
		"hash":               func(e *Exprs) { e.SourceAddr(0); e.HashNumber(0, 4, uint32(e.Family.AddrSize()), 7, 1) },
		"sets":               func(e *Exprs) { e.SourceAddr(0); e.InSet("addresses", 0); e.NotInSet("addresses", 0) },
		"map":                func(e *Exprs) { e.L4Proto(0); e.DestPort(1); e.InMap("map", 0, 4) },
		"compare":            func(e *Exprs) { e.DestPort(0); e.CompareUint16(0, unix.NFT_CMP_LTE, 1024) },
		"mask": func(e *Exprs) {
			e.DestAddr(0)
			e.Mask(0, bytes.Repeat([]byte{0xf0}, e.Family.AddrSize()))
		},
		"local":      func(e *Exprs) { e.DestIsLocal(0) },
		"dnat":       func(e *Exprs) { e.L4Proto(0); e.DestPort(1); e.InMap("map", 0, 4); e.DNAT(4) },
		"update":     func(e *Exprs) { e.RandomNumber(0, 9); e.UpdateMap("learned", 0, 0, 60) },
		"delete":     func(e *Exprs) { e.RandomNumber(0, 9); e.DeleteFromMap("learned", 0, 0, 60) },
		"reject TCP": func(e *Exprs) { e.L4Proto(0); e.Compare(0, unix.NFT_CMP_EQ, []byte{6}); e.RejectTCP() },
		"reject":     func(e *Exprs) { e.RejectPort() },
		"goto":       func(e *Exprs) { e.Goto("other") },
		"jump":       func(e *Exprs) { e.Jump("other") },
		"return":     func(e *Exprs) { e.Return() },
		"drop":       func(e *Exprs) { e.Drop() },
		"by name":    func(e *Exprs) { e.Expr("counter", func(*Attrs) {}) },
	}
	inNamespace(t, func(c *Conn) {
		for _, f := range families {
			table := Table{f, "viaduct-test"}
			list := []Message{table.Add(), table.AddChain(Chain{Name: "other"}),
				table.AddChain(Chain{Name: "output", Hook: &Hook{Type: "nat", Number: unix.NF_INET_LOCAL_OUT}}),
				table.AddChain(Chain{Name: "out", Hook: &Hook{Type: "nat", Number: unix.NF_INET_POST_ROUTING}})}
			for i, s := range testSets(f) {
				list = append(list, table.AddSet(s, uint32(i)+1))
			}
			check(t, c.Commit(list))
			for name, fill := range write {
				e := Exprs{Family: f}
				fill(&e)
				if err := c.Commit([]Message{table.AddRule(Rule{Chain: "output", Comment: name, Exprs: e.Attrs})}); err != nil {
					t.Errorf("%s: %s: %v", f, name, err)
				}
			}
			e := Exprs{Family: f}
			e.Masquerade()
			check(t, c.Commit([]Message{table.AddRule(Rule{Chain: "out", Exprs: e.Attrs})}))
			if rules, err := c.Rules(table); len(rules) != len(write)+1 || err != nil {
				t.Errorf("%s: %d rules, want %d; %v", f, len(rules), len(write)+1, err)
			}
		}
	})
}
