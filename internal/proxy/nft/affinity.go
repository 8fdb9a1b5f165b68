package nft

import (
	"fmt"

	"viaduct/internal/nftables"
)

// stickyChain is the chain of a class with session affinity. The map affinity stores the backend of each client;
// packets write the map. Its key is the client address and the identity. An identity is the first address and port of a
// Service port. All addresses of the Service share the identity, so a client gets the same backend through each of
// them. A stored backend counts only while it is in the set members.
//
// The registers, in 32-bit words, for addresses of w words: the client is at 0, the identity at w, the backend at 2w+2.
// Client and identity together are the key of affinity. Identity and backend together are the key of members.
func (l *layout) stickyChain(c class) chain {
	w := l.family.AddrRegisters()
	identity, backend := nftables.Register(w), nftables.Register(2*w+2)
	memory := setID{kind: affinity}
	// known loads the client and the identity. The rule ends here if the destination has no identity with this timeout.
	known := func(a *asm) {
		a.dest(0)
		a.find(c.sticky(), 0, identity)
		a.SourceAddr(0)
		a.L4Proto(identity.Plus(w + 1))
	}
	return chain{name: c.chain(), rules: []rule{
		l.rule("to the backend that the client had", func(a *asm) {
			known(a)
			a.find(memory, 0, backend)
			a.in(setID{kind: members}, identity)
			a.UpdateMap(memory.name(), 0, backend, c.seconds)
			a.DNAT(backend)
		}),
		l.rule("it has gone", func(a *asm) {
			known(a)
			a.find(memory, 0, backend)
			a.DeleteFromMap(memory.name(), 0, backend, c.seconds)
		}),
		l.rule(fmt.Sprintf("one of %d, and remember it", c.slots), func(a *asm) {
			l.draw(a, c)
			known(a)
			a.UpdateMap(memory.name(), 0, backend, c.seconds)
			a.DNAT(backend)
		}),
		l.rule(fmt.Sprintf("one of %d, while the memory is full", c.slots), func(a *asm) {
			a.dest(0)
			a.find(c.sticky(), 0, identity) // else the destination belongs to a class with another timeout
			a.DNAT(l.draw(a, c))
		}),
	}}
}
