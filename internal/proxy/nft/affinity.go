package nft

import (
	"fmt"

	"viaduct/internal/nftables"
)

// stickyChain serves a class that remembers its clients. The memory is the map affinity, which packets write: client
// and identity lead to a backend. An identity is the first address and port of a Service port, so that a client meets
// the same backend by whichever of the Service's addresses it comes; what it remembers counts only while the backend is
// a member.
//
// Registers, in units of an address of w words: the client at 0, the identity at w, the backend at 2w+2, so that client
// and identity are the key of affinity, identity and backend that of members.
func (l *layout) stickyChain(c class) chain {
	w := l.family.AddrRegisters()
	identity, backend := nftables.Register(w), nftables.Register(2*w+2)
	memory := setID{kind: affinity}
	// known loads client and identity; it goes on only if the destination has one with this timeout.
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
