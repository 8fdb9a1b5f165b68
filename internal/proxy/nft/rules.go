package nft

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

// A rule is one rule of a chain. The comment is for people who list the table. It also identifies the rule (see mark),
// because the kernel lists expressions in another form than the one it accepts.
type rule struct {
	comment string
	exprs   nftables.Attrs
}

// An asm writes the expressions of a rule for one family. It adds the keys of this package's sets to nftables.Exprs.
type asm struct{ nftables.Exprs }

// dest loads the key of most maps: destination address, protocol and port. It returns the register after the key.
func (a *asm) dest(at nftables.Register) (after nftables.Register) {
	w := a.Family.AddrRegisters()
	a.DestAddr(at)
	a.L4Proto(at.Plus(w))
	a.DestPort(at.Plus(w + 1))
	return at.Plus(w + 2)
}

// originalDest loads the same key, with the destination that the connection had before it was redirected.
func (a *asm) originalDest(at nftables.Register) {
	w := a.Family.AddrRegisters()
	address := uint32(unix.NFT_CT_DST_IP)
	if a.Family == nftables.IPv6 {
		address = unix.NFT_CT_DST_IP6
	}
	a.CTOriginal(at, address)
	a.L4Proto(at.Plus(w))
	a.CTOriginal(at.Plus(w+1), unix.NFT_CT_PROTO_DST)
}

// in holds if the set has the key that begins at from.
func (a *asm) in(s setID, from nftables.Register) { a.InSet(s.name(), from) }

// notIn holds if the set does not have the key that begins at from.
func (a *asm) notIn(s setID, from nftables.Register) { a.NotInSet(s.name(), from) }

// find holds if the map has the key that begins at from, and loads the data into to.
func (a *asm) find(s setID, from, to nftables.Register) { a.InMap(s.name(), from, to) }

// isProto holds if the packet has the protocol p.
func (a *asm) isProto(p routing.Proto) {
	a.L4Proto(0)
	a.Compare(0, unix.NFT_CMP_EQ, []byte{protoNumber(p)})
}

const statusDNAT = 0x20 // IPS_DST_NAT: the connection was redirected

// notRedirected holds if the packet's connection still has its original destination.
func (a *asm) notRedirected() {
	a.CT(0, unix.NFT_CT_STATUS)
	a.Mask(0, binary.NativeEndian.AppendUint32(nil, statusDNAT))
	a.Compare(0, unix.NFT_CMP_EQ, make([]byte, 4))
}

// mark is the comment that the rule has in the kernel: its own comment and a checksum of its expressions. Equal marks
// mean equal rules.
func (r rule) mark() string {
	h := fnv.New32a()
	_, _ = h.Write(r.exprs)
	return fmt.Sprintf("%s (%08x)", r.comment, h.Sum32())
}
