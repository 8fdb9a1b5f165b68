package nftables

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Exprs writes the expressions of one rule. The kernel evaluates them in order and leaves the rule at the first that
// does not hold. Expressions work on sixteen registers of 4 bytes; a field of a key begins at a register of its own.
type Exprs struct {
	Family Family
	Attrs  Attrs // what was written, for Rule.Exprs
}

// A Register is one of the 4-byte registers, 0 to 15. A value of more than 4 bytes takes the registers after it, too.
type Register uint32

// Plus is the register a number of registers further on.
func (r Register) Plus(n int) Register { return r + Register(n) }

// Number is the kernel's number of the register, NFT_REG32_00 to NFT_REG32_15, for Expr.
func (r Register) Number() uint32 { return unix.NFT_REG32_00 + uint32(r) }

// AddrRegisters is the number of registers that an address takes.
func (f Family) AddrRegisters() int { return f.AddrSize() / 4 }

// Expr appends an expression that no other method writes: name is the kernel's name for it, and fill appends the
// attributes of its data.
func (e *Exprs) Expr(name string, fill func(*Attrs)) {
	e.Attrs.Nest(unix.NFTA_LIST_ELEM, func() {
		e.Attrs.Text(unix.NFTA_EXPR_NAME, name)
		e.Attrs.Nest(unix.NFTA_EXPR_DATA, func() { fill(&e.Attrs) })
	})
}

// payload loads size bytes of the packet.
func (e *Exprs) payload(to Register, base, offset, size uint32) {
	e.Expr("payload", func(d *Attrs) {
		d.Uint32(unix.NFTA_PAYLOAD_DREG, to.Number())
		d.Uint32(unix.NFTA_PAYLOAD_BASE, base)
		d.Uint32(unix.NFTA_PAYLOAD_OFFSET, offset)
		d.Uint32(unix.NFTA_PAYLOAD_LEN, size)
	})
}

// SourceAddr loads the packet's source address.
func (e *Exprs) SourceAddr(to Register) {
	offset := uint32(12)
	if e.Family == IPv6 {
		offset = 8
	}
	e.payload(to, unix.NFT_PAYLOAD_NETWORK_HEADER, offset, uint32(e.Family.AddrSize()))
}

// DestAddr loads the packet's destination address.
func (e *Exprs) DestAddr(to Register) {
	offset := uint32(16)
	if e.Family == IPv6 {
		offset = 24
	}
	e.payload(to, unix.NFT_PAYLOAD_NETWORK_HEADER, offset, uint32(e.Family.AddrSize()))
}

// DestPort loads the destination port of TCP, UDP and SCTP alike.
func (e *Exprs) DestPort(to Register) { e.payload(to, unix.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2) }

// Meta loads what the kernel knows of the packet; key is one of unix.NFT_META_….
func (e *Exprs) Meta(to Register, key uint32) {
	e.Expr("meta", func(d *Attrs) {
		d.Uint32(unix.NFTA_META_KEY, key)
		d.Uint32(unix.NFTA_META_DREG, to.Number())
	})
}

// L4Proto loads the number of the transport protocol, one byte.
func (e *Exprs) L4Proto(to Register) { e.Meta(to, unix.NFT_META_L4PROTO) }

// CT loads what connection tracking knows of the packet's connection; key is one of unix.NFT_CT_….
func (e *Exprs) CT(to Register, key uint32) { e.ct(to, key, false) }

// CTOriginal is CT for keys that differ by direction: it loads the value of the connection's original direction.
func (e *Exprs) CTOriginal(to Register, key uint32) { e.ct(to, key, true) }

func (e *Exprs) ct(to Register, key uint32, original bool) {
	e.Expr("ct", func(d *Attrs) {
		d.Uint32(unix.NFTA_CT_KEY, key)
		d.Uint32(unix.NFTA_CT_DREG, to.Number())
		if original {
			d.Bytes(unix.NFTA_CT_DIRECTION, []byte{0}) // IP_CT_DIR_ORIGINAL
		}
	})
}

// RandomNumber loads a random number from 0 to n-1.
func (e *Exprs) RandomNumber(to Register, n uint32) {
	e.Expr("numgen", func(d *Attrs) {
		d.Uint32(unix.NFTA_NG_DREG, to.Number())
		d.Uint32(unix.NFTA_NG_MODULUS, n)
		d.Uint32(unix.NFTA_NG_TYPE, unix.NFT_NG_RANDOM)
		d.Uint32(unix.NFTA_NG_OFFSET, 0)
	})
}

// NextNumber loads the numbers from 0 to n-1 in turn. The turn belongs to this expression: all packets that come by it
// share it.
func (e *Exprs) NextNumber(to Register, n uint32) {
	e.Expr("numgen", func(d *Attrs) {
		d.Uint32(unix.NFTA_NG_DREG, to.Number())
		d.Uint32(unix.NFTA_NG_MODULUS, n)
		d.Uint32(unix.NFTA_NG_TYPE, unix.NFT_NG_INCREMENTAL)
		d.Uint32(unix.NFTA_NG_OFFSET, 0)
	})
}

// HashNumber loads the kernel's jhash of size bytes that begin at a register, scaled to a number from 0 to n-1. seed
// must not be 0, for which the kernel would draw one.
func (e *Exprs) HashNumber(from, to Register, size, n, seed uint32) {
	e.Expr("hash", func(d *Attrs) {
		d.Uint32(unix.NFTA_HASH_SREG, from.Number())
		d.Uint32(unix.NFTA_HASH_DREG, to.Number())
		d.Uint32(unix.NFTA_HASH_LEN, size)
		d.Uint32(unix.NFTA_HASH_MODULUS, n)
		d.Uint32(unix.NFTA_HASH_SEED, seed)
		d.Uint32(unix.NFTA_HASH_OFFSET, 0)
		d.Uint32(unix.NFTA_HASH_TYPE, unix.NFT_HASH_JENKINS)
	})
}

// GotoByMap continues in the chain that a map of chains (Set.Goto) has for the key that begins at a register. It holds
// if there is one.
func (e *Exprs) GotoByMap(set string, key Register) {
	e.Expr("lookup", func(d *Attrs) {
		d.Text(unix.NFTA_LOOKUP_SET, set)
		d.Uint32(unix.NFTA_LOOKUP_SREG, key.Number())
		d.Uint32(unix.NFTA_LOOKUP_DREG, unix.NFT_REG_VERDICT)
	})
}

// InSet holds if the set has the key that begins at a register.
func (e *Exprs) InSet(set string, key Register) { e.lookup(set, key, 0, nil) }

// NotInSet holds if the set does not have the key that begins at a register.
func (e *Exprs) NotInSet(set string, key Register) { e.lookup(set, key, lookupInverted, nil) }

// InMap holds if the map has the key that begins at a register, and loads the data.
func (e *Exprs) InMap(set string, key, data Register) { e.lookup(set, key, 0, &data) }

const lookupInverted = 1 // NFT_LOOKUP_F_INV

func (e *Exprs) lookup(set string, key Register, flags uint32, data *Register) {
	e.Expr("lookup", func(d *Attrs) {
		d.Text(unix.NFTA_LOOKUP_SET, set)
		d.Uint32(unix.NFTA_LOOKUP_SREG, key.Number())
		if data != nil {
			d.Uint32(unix.NFTA_LOOKUP_DREG, data.Number())
		}
		if flags != 0 {
			d.Uint32(unix.NFTA_LOOKUP_FLAGS, flags)
		}
	})
}

// Compare holds if the bytes that begin at a register compare so with data; op is one of unix.NFT_CMP_…. The comparison
// is that of memcmp.
func (e *Exprs) Compare(from Register, op uint32, data []byte) {
	e.Expr("cmp", func(d *Attrs) {
		d.Uint32(unix.NFTA_CMP_SREG, from.Number())
		d.Uint32(unix.NFTA_CMP_OP, op)
		d.data(unix.NFTA_CMP_DATA, data)
	})
}

// CompareUint16 is Compare with a number in network byte order.
func (e *Exprs) CompareUint16(from Register, op uint32, n uint16) {
	e.Compare(from, op, binary.BigEndian.AppendUint16(nil, n))
}

// Mask clears the bits of a value in registers that mask does not have.
func (e *Exprs) Mask(at Register, mask []byte) {
	e.Expr("bitwise", func(d *Attrs) {
		d.Uint32(unix.NFTA_BITWISE_SREG, at.Number())
		d.Uint32(unix.NFTA_BITWISE_DREG, at.Number())
		d.Uint32(unix.NFTA_BITWISE_LEN, uint32(len(mask)))
		d.data(unix.NFTA_BITWISE_MASK, mask)
		d.data(unix.NFTA_BITWISE_XOR, make([]byte, len(mask)))
	})
}

// DestIsLocal holds if the packet's destination address is one of this host.
func (e *Exprs) DestIsLocal(scratch Register) {
	e.Expr("fib", func(d *Attrs) {
		d.Uint32(unix.NFTA_FIB_DREG, scratch.Number())
		d.Uint32(unix.NFTA_FIB_FLAGS, unix.NFTA_FIB_F_DADDR)
		d.Uint32(unix.NFTA_FIB_RESULT, unix.NFT_FIB_RESULT_ADDRTYPE)
	})
	e.Compare(scratch, unix.NFT_CMP_EQ, binary.NativeEndian.AppendUint32(nil, unix.RTN_LOCAL))
}

// DNAT redirects the connection to the address that begins at a register and the port after it. The packet leaves the
// chain.
func (e *Exprs) DNAT(to Register) {
	e.Expr("nat", func(d *Attrs) {
		d.Uint32(unix.NFTA_NAT_TYPE, unix.NFT_NAT_DNAT)
		d.Uint32(unix.NFTA_NAT_FAMILY, uint32(e.Family))
		d.Uint32(unix.NFTA_NAT_REG_ADDR_MIN, to.Number())
		d.Uint32(unix.NFTA_NAT_REG_PROTO_MIN, to.Plus(e.Family.AddrRegisters()).Number())
	})
}

// Masquerade gives the connection a source address of this host, and a random source port. The packet leaves the chain.
func (e *Exprs) Masquerade() {
	e.Expr("masq", func(d *Attrs) { d.Uint32(unix.NFTA_MASQ_FLAGS, unix.NF_NAT_RANGE_PROTO_RANDOM_FULLY) })
}

// UpdateMap writes an element to a map that packets may write (NFT_SET_EVAL), or renews its timeout.
func (e *Exprs) UpdateMap(set string, key, data Register, timeoutSeconds uint32) {
	e.dynset(set, unix.NFT_DYNSET_OP_UPDATE, key, data, timeoutSeconds)
}

const dynsetDelete = 2 // NFT_DYNSET_OP_DELETE, Linux 5.4

// DeleteFromMap removes an element from a map that packets may write (NFT_SET_EVAL). The kernel takes the same
// arguments as for UpdateMap; data and the timeout do not matter.
func (e *Exprs) DeleteFromMap(set string, key, data Register, timeoutSeconds uint32) {
	e.dynset(set, dynsetDelete, key, data, timeoutSeconds)
}

func (e *Exprs) dynset(set string, op uint32, key, data Register, timeoutSeconds uint32) {
	e.Expr("dynset", func(d *Attrs) {
		d.Text(unix.NFTA_DYNSET_SET_NAME, set)
		d.Uint32(unix.NFTA_DYNSET_OP, op)
		d.Uint32(unix.NFTA_DYNSET_SREG_KEY, key.Number())
		d.Uint32(unix.NFTA_DYNSET_SREG_DATA, data.Number())
		d.Uint64(unix.NFTA_DYNSET_TIMEOUT, uint64(timeoutSeconds)*1000)
	})
}

// RejectTCP answers the packet with a TCP reset.
func (e *Exprs) RejectTCP() { e.reject(unix.NFT_REJECT_TCP_RST, 0) }

// RejectPort answers the packet with "port unreachable" of ICMP (RFC 792) or ICMPv6 (RFC 4443).
func (e *Exprs) RejectPort() {
	code := byte(3)
	if e.Family == IPv6 {
		code = 4
	}
	e.reject(unix.NFT_REJECT_ICMP_UNREACH, code)
}

func (e *Exprs) reject(how uint32, code byte) {
	e.Expr("reject", func(d *Attrs) {
		d.Uint32(unix.NFTA_REJECT_TYPE, how)
		d.Bytes(unix.NFTA_REJECT_ICMP_CODE, []byte{code})
	})
}

const verdictDrop = 0 // NF_DROP, of verdicts and of policies

// Goto continues in another chain and does not come back.
func (e *Exprs) Goto(chain string) { e.verdict(unix.NFT_GOTO, chain) }

// Jump continues in another chain and comes back from its end to the next rule.
func (e *Exprs) Jump(chain string) { e.verdict(unix.NFT_JUMP, chain) }

// Return leaves the chain: for the caller after a jump, for the policy in a base chain.
func (e *Exprs) Return() { e.verdict(unix.NFT_RETURN, "") }

// Drop drops the packet.
func (e *Exprs) Drop() { e.verdict(verdictDrop, "") }

func (e *Exprs) verdict(code int32, chain string) {
	e.Expr("immediate", func(d *Attrs) {
		d.Uint32(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT)
		d.Nest(unix.NFTA_IMMEDIATE_DATA, func() {
			d.verdictData(code, chain)
		})
	})
}

// verdictData appends a verdict, as data.
func (a *Attrs) verdictData(code int32, chain string) {
	a.Nest(unix.NFTA_DATA_VERDICT, func() {
		a.Uint32(unix.NFTA_VERDICT_CODE, uint32(code))
		if chain != "" {
			a.Text(unix.NFTA_VERDICT_CHAIN, chain)
		}
	})
}
