package nft

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

// A rule is one rule of a chain. Its comment is for people who list the table, and is how a rule is recognised later:
// the kernel gives expressions back in other words than it was told.
type rule struct {
	comment string
	exprs   nftables.Attrs
}

// An asm writes the expressions of a rule for one family, in the words of this package's sets.
type asm struct{ nftables.Exprs }

// dest loads the key of the maps: address, protocol, port. It returns the register after it.
func (a *asm) dest(at nftables.Register) (after nftables.Register) {
	w := a.Family.AddrRegisters()
	a.DestAddr(at)
	a.L4Proto(at.Plus(w))
	a.DestPort(at.Plus(w + 1))
	return at.Plus(w + 2)
}

// originalDest is dest as the packet said before it was redirected.
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

// in goes on only if the key that begins at from is in the set.
func (a *asm) in(s setID, from nftables.Register) { a.InSet(s.name(), from) }

// notIn goes on only if it is not.
func (a *asm) notIn(s setID, from nftables.Register) { a.NotInSet(s.name(), from) }

// find goes on only if the map has the key that begins at from, with its data in to.
func (a *asm) find(s setID, from, to nftables.Register) { a.InMap(s.name(), from, to) }

// isProto goes on only if the packet has this protocol.
func (a *asm) isProto(p routing.Proto) {
	a.L4Proto(0)
	a.Compare(0, unix.NFT_CMP_EQ, []byte{protoNumber(p)})
}

const statusDNAT = 0x20 // IPS_DST_NAT: the connection was redirected

// notRedirected goes on only if the packet's connection has its original destination.
func (a *asm) notRedirected() {
	a.CT(0, unix.NFT_CT_STATUS)
	a.Mask(0, binary.NativeEndian.AppendUint32(nil, statusDNAT))
	a.Compare(0, unix.NFT_CMP_EQ, make([]byte, 4))
}

// mark is the comment the rule has in the kernel: its own, and a sum of what it does. It is how a rule is recognised.
func (r rule) mark() string {
	h := fnv.New32a()
	_, _ = h.Write(r.exprs)
	return fmt.Sprintf("%s (%08x)", r.comment, h.Sum32())
}
