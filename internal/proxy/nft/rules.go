package nft

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"golang.org/x/sys/unix"
)

// A rule is one rule of a chain. Its comment is for people who list the table, and is how a rule is recognised later:
// the kernel gives expressions back in other words than it was told.
type rule struct {
	comment string
	exprs   attrs // the expressions, ready for NFTA_RULE_EXPRESSIONS
}

// An asm writes the expressions of a rule for one family. Expressions work on sixteen registers of four bytes; a field
// of a key begins at a register of its own.
type asm struct {
	family family
	out    attrs
}

// register is a 4-byte register, 0 to 15, as the kernel counts them.
type register uint32

func (r register) number() uint32 { return 8 + uint32(r) }

func (r register) plus(words int) register { return r + register(words) }

// words is the number of registers an address takes.
func (f family) words() int { return f.size() / 4 }

func (a *asm) expr(name string, fill func(*attrs)) {
	a.out.nest(unix.NFTA_LIST_ELEM, func() {
		a.out.text(unix.NFTA_EXPR_NAME, name)
		a.out.nest(unix.NFTA_EXPR_DATA, func() { fill(&a.out) })
	})
}

func (a *asm) payload(to register, base, offset, size uint32) {
	a.expr("payload", func(d *attrs) {
		d.u32(unix.NFTA_PAYLOAD_DREG, to.number())
		d.u32(unix.NFTA_PAYLOAD_BASE, base)
		d.u32(unix.NFTA_PAYLOAD_OFFSET, offset)
		d.u32(unix.NFTA_PAYLOAD_LEN, size)
	})
}

// saddr and daddr load an address of the packet, dport the destination port of TCP, UDP and SCTP alike.
func (a *asm) saddr(to register) {
	offset := uint32(12)
	if a.family == ip6 {
		offset = 8
	}
	a.payload(to, unix.NFT_PAYLOAD_NETWORK_HEADER, offset, uint32(a.family.size()))
}

func (a *asm) daddr(to register) {
	offset := uint32(16)
	if a.family == ip6 {
		offset = 24
	}
	a.payload(to, unix.NFT_PAYLOAD_NETWORK_HEADER, offset, uint32(a.family.size()))
}

func (a *asm) dport(to register) { a.payload(to, unix.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2) }

func (a *asm) l4proto(to register) {
	a.expr("meta", func(d *attrs) {
		d.u32(unix.NFTA_META_KEY, unix.NFT_META_L4PROTO)
		d.u32(unix.NFTA_META_DREG, to.number())
	})
}

// dest loads the key of the maps: address, protocol, port. It returns the register after it.
func (a *asm) dest(at register) (after register) {
	w := a.family.words()
	a.daddr(at)
	a.l4proto(at.plus(w))
	a.dport(at.plus(w + 1))
	return at.plus(w + 2)
}

// originalDest is dest as the packet said before it was redirected.
func (a *asm) originalDest(at register) {
	w := a.family.words()
	address := uint32(unix.NFT_CT_DST_IP)
	if a.family == ip6 {
		address = unix.NFT_CT_DST_IP6
	}
	a.ct(at, address, true)
	a.l4proto(at.plus(w))
	a.ct(at.plus(w+1), unix.NFT_CT_PROTO_DST, true)
}

func (a *asm) ct(to register, what uint32, original bool) {
	a.expr("ct", func(d *attrs) {
		d.u32(unix.NFTA_CT_KEY, what)
		d.u32(unix.NFTA_CT_DREG, to.number())
		if original {
			d.bytes(unix.NFTA_CT_DIRECTION, []byte{0})
		}
	})
}

// draw draws one of n numbers.
func (a *asm) draw(to register, n uint16) {
	a.expr("numgen", func(d *attrs) {
		d.u32(unix.NFTA_NG_DREG, to.number())
		d.u32(unix.NFTA_NG_MODULUS, uint32(n))
		d.u32(unix.NFTA_NG_TYPE, unix.NFT_NG_RANDOM)
		d.u32(unix.NFTA_NG_OFFSET, 0)
	})
}

// in goes on only if the key that begins at from is in the set.
func (a *asm) in(s setID, from register) { a.lookup(s, from, 0, nil) }

const lookupInverted = 1 // NFT_LOOKUP_F_INV

// notIn goes on only if it is not.
func (a *asm) notIn(s setID, from register) { a.lookup(s, from, lookupInverted, nil) }

// find goes on only if the map has the key that begins at from, with its data in to.
func (a *asm) find(s setID, from, to register) { a.lookup(s, from, 0, &to) }

func (a *asm) lookup(s setID, from register, flags uint32, to *register) {
	a.expr("lookup", func(d *attrs) {
		d.text(unix.NFTA_LOOKUP_SET, s.name())
		d.u32(unix.NFTA_LOOKUP_SREG, from.number())
		if to != nil {
			d.u32(unix.NFTA_LOOKUP_DREG, to.number())
		}
		if flags != 0 {
			d.u32(unix.NFTA_LOOKUP_FLAGS, flags)
		}
	})
}

// compare goes on only if the 16-bit number in from compares so with n.
func (a *asm) compare(from register, op uint32, n uint16) {
	a.compareBytes(from, op, binary.BigEndian.AppendUint16(nil, n))
}

func (a *asm) compareBytes(from register, op uint32, data []byte) {
	a.expr("cmp", func(d *attrs) {
		d.u32(unix.NFTA_CMP_SREG, from.number())
		d.u32(unix.NFTA_CMP_OP, op)
		d.nest(unix.NFTA_CMP_DATA, func() { d.bytes(unix.NFTA_DATA_VALUE, data) })
	})
}

const statusDNAT = 0x20 // IPS_DST_NAT: the connection was redirected

// mask leaves only the bits of mask in a register that is in the order of this machine.
func (a *asm) mask(at register, mask uint32) {
	a.expr("bitwise", func(d *attrs) {
		d.u32(unix.NFTA_BITWISE_SREG, at.number())
		d.u32(unix.NFTA_BITWISE_DREG, at.number())
		d.u32(unix.NFTA_BITWISE_LEN, 4)
		d.nest(unix.NFTA_BITWISE_MASK, func() {
			d.bytes(unix.NFTA_DATA_VALUE, binary.NativeEndian.AppendUint32(nil, mask))
		})
		d.nest(unix.NFTA_BITWISE_XOR, func() { d.bytes(unix.NFTA_DATA_VALUE, make([]byte, 4)) })
	})
}

// dnat redirects the connection to the address and port that begin at from. It ends the packet's way through the chain.
func (a *asm) dnat(from register) {
	a.expr("nat", func(d *attrs) {
		d.u32(unix.NFTA_NAT_TYPE, unix.NFT_NAT_DNAT)
		d.u32(unix.NFTA_NAT_FAMILY, uint32(a.family))
		d.u32(unix.NFTA_NAT_REG_ADDR_MIN, from.number())
		d.u32(unix.NFTA_NAT_REG_PROTO_MIN, from.plus(a.family.words()).number())
	})
}

// masquerade gives the connection an address of this node for its source, and a port that nobody can foresee.
func (a *asm) masquerade() {
	a.expr("masq", func(d *attrs) { d.u32(unix.NFTA_MASQ_FLAGS, unix.NF_NAT_RANGE_PROTO_RANDOM_FULLY) })
}

// What a dynset expression may do.
const (
	dynUpdate = unix.NFT_DYNSET_OP_UPDATE
	dynDelete = 2 // NFT_DYNSET_OP_DELETE, Linux 5.4
)

// learn writes to a map from the packet path: the key begins at from and the data at to.
func (a *asm) learn(s setID, op uint32, from, to register, seconds uint32) {
	a.expr("dynset", func(d *attrs) {
		d.text(unix.NFTA_DYNSET_SET_NAME, s.name())
		d.u32(unix.NFTA_DYNSET_OP, op)
		d.u32(unix.NFTA_DYNSET_SREG_KEY, from.number())
		d.u32(unix.NFTA_DYNSET_SREG_DATA, to.number())
		d.u64(unix.NFTA_DYNSET_TIMEOUT, uint64(seconds)*1000)
	})
}

func (a *asm) reject(how, code uint32) {
	a.expr("reject", func(d *attrs) {
		d.u32(unix.NFTA_REJECT_TYPE, how)
		d.bytes(unix.NFTA_REJECT_ICMP_CODE, []byte{byte(code)})
	})
}

func (a *asm) isProto(p byte) {
	a.l4proto(0)
	a.compareBytes(0, unix.NFT_CMP_EQ, []byte{p})
}

// verdict ends the rule: to another chain, or out of this one.
func (a *asm) verdict(code int32, chain string) {
	a.expr("immediate", func(d *attrs) {
		d.u32(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT)
		d.nest(unix.NFTA_IMMEDIATE_DATA, func() {
			d.nest(unix.NFTA_DATA_VERDICT, func() {
				d.u32(unix.NFTA_VERDICT_CODE, uint32(code))
				if chain != "" {
					d.text(unix.NFTA_VERDICT_CHAIN, chain)
				}
			})
		})
	})
}

const verdictDrop = 0 // NF_DROP

func (a *asm) goTo(chain string) { a.verdict(unix.NFT_GOTO, chain) }
func (a *asm) jump(chain string) { a.verdict(unix.NFT_JUMP, chain) }
func (a *asm) leave()            { a.verdict(unix.NFT_RETURN, "") }
func (a *asm) drop()             { a.verdict(verdictDrop, "") }

// mark is the comment the rule has in the kernel: its own, and a sum of what it does. It is how a rule is recognised.
func (r rule) mark() string {
	h := fnv.New32a()
	_, _ = h.Write(r.exprs)
	return fmt.Sprintf("%s (%08x)", r.comment, h.Sum32())
}
