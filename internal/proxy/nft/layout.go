package nft

import (
	"fmt"

	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

// The chains that are always there, besides those of the tree.
const (
	chainPrerouting     = "prerouting"
	chainOutput         = "output"
	chainPostrouting    = "postrouting"
	chainServices       = "services"
	chainOutside        = "outside"
	chainOutsideClasses = "outside-classes"
	chainMany           = "many"
	chainSticky         = "sticky"
	chainReject         = "reject"
)

// A chain is one chain with its rules.
type chain struct {
	name  string
	hook  *nftables.Hook // of a base chain; nil for others
	rules []rule
}

// The usual priorities for NAT, which kube-proxy uses too: after conntrack, before routing.
const (
	priorityDNAT = -100
	prioritySNAT = 100
)

// A layout lists the chains and rules of a family's table.
type layout struct {
	family nftables.Family
	chains []chain // a chain comes after the chains that it leads to; classes that are added on demand are not in it
}

func newLayout(f nftables.Family) *layout {
	l := &layout{family: f}
	l.add(chain{name: chainReject, rules: l.rejecting()})
	for n := range uint16(treeSlots) {
		l.add(l.classChain(class{slots: n + 1, policy: routing.Random}))
	}
	l.add(chain{name: chainMany}, chain{name: chainSticky}, chain{name: chainOutsideClasses})
	l.tree(0, smallSlots)
	l.tree(smallSlots+1, treeSlots)
	l.add(chain{name: chainServices, rules: l.dispatch()})
	l.add(chain{name: chainOutside, rules: l.outside()})
	l.add(
		chain{name: chainPrerouting, hook: natHook(unix.NF_INET_PRE_ROUTING, priorityDNAT), rules: l.prerouting()},
		chain{name: chainOutput, hook: natHook(unix.NF_INET_LOCAL_OUT, priorityDNAT), rules: l.output()},
		chain{name: chainPostrouting, hook: natHook(unix.NF_INET_POST_ROUTING, prioritySNAT), rules: l.postrouting()},
	)
	return l
}

func natHook(number uint32, priority int32) *nftables.Hook {
	return &nftables.Hook{Type: "nat", Number: number, Priority: priority}
}

func (l *layout) add(c ...chain) { l.chains = append(l.chains, c...) }

// rule makes a rule. The function write adds its expressions.
func (l *layout) rule(comment string, write func(*asm)) rule {
	a := asm{nftables.Exprs{Family: l.family}}
	write(&a)
	return rule{comment, a.Attrs}
}

// looks is how many times a packet looks up its backend. One lookup reads the maps several times. If a transaction
// changes the maps in between, the lookup can end at a removed slot, and the packet looks again. Two lookups are enough
// for one such change. The third adds safety and costs nothing when the first succeeds.
const looks = 3

// prerouting handles packets that arrive from outside or from a Pod of this node.
func (l *layout) prerouting() []rule {
	list := []rule{l.rule("what has no address of a Service is not ours", notOurs)}
	for range looks {
		list = append(list,
			l.rule("from elsewhere", func(a *asm) { a.SourceAddr(0); a.notIn(setID{kind: pods}, 0); a.Jump(chainOutside) }),
			l.rule("the others, and where there is no difference", func(a *asm) { a.Jump(chainServices) }))
	}
	return append(list, l.noPort())
}

// output handles packets that this host itself sends.
func (l *layout) output() []rule {
	list := []rule{l.rule("what has no address of a Service is not ours", notOurs)}
	for range looks {
		list = append(list, l.rule("every policy has been applied", func(a *asm) { a.Jump(chainServices) }))
	}
	return append(list, l.noPort())
}

// noPort rejects packets to a cluster IP at a port that the Service does not have.
func (l *layout) noPort() rule {
	return l.rule("no port of the Service", func(a *asm) {
		a.DestAddr(0)
		a.in(setID{kind: clusterIPs},
			0)
		a.Goto(chainReject)
	})
}

func notOurs(a *asm) { a.DestAddr(0); a.notIn(setID{kind: addresses}, 0); a.Return() }

// postrouting masquerades the client address when the answer of the backend would otherwise not pass through this node.
// The rules are those of routing.Pool.Hides.
func (l *layout) postrouting() []rule {
	w := l.family.AddrRegisters()
	list := []rule{
		l.rule("not redirected", func(a *asm) {
			a.notRedirected()
			a.Return()
		}),
		l.rule("a backend that asks itself", func(a *asm) {
			a.SourceAddr(0)
			a.DestAddr(nftables.Register(w))
			a.in(setID{kind: local}, 0)
			a.Masquerade()
		}),
		l.rule("a backend here answers through this node", func(a *asm) {
			a.DestAddr(0)
			a.DestAddr(nftables.Register(w))
			a.in(setID{kind: local}, 0)
			a.Return()
		}),
		l.rule("a Pod of this node is answered through it", func(a *asm) {
			a.SourceAddr(0)
			a.in(setID{kind: pods},
				0)
			a.Return()
		}),
	}
	for range looks { // for the same reason as in prerouting
		for _, from := range []kind{services, outsideServices} {
			list = append(list, l.rule("redirected by Viaduct to a backend elsewhere", func(a *asm) {
				a.originalDest(0)
				a.find(setID{kind: from}, 0, nftables.Register(w+2))
				// The comparison is always true. Without it, nft would list the rule as if the rule had no condition.
				a.CompareUint16(nftables.Register(w+2), unix.NFT_CMP_GTE, 0)
				a.Masquerade()
			}))
		}
	}
	return list
}

// smallSlots divides the tree into two trees. Most Services have at most this many slots and find their chain in fewer
// steps.
const smallSlots = 8

// dispatch leads the first packet of a connection to the chain of its class.
func (l *layout) dispatch() []rule {
	by := func(comment string, op uint32, n uint16, to string) rule {
		return l.rule(comment, func(a *asm) { l.compareSlots(a, services, op, n); a.Goto(to) })
	}
	return []rule{
		l.ranges(),
		by("few slots", unix.NFT_CMP_LTE, smallSlots, treeName(0, smallSlots)),
		by("up to the largest of the tree", unix.NFT_CMP_LTE, treeSlots, treeName(smallSlots+1, treeSlots)),
		by("more slots", unix.NFT_CMP_LTE, maxSlots, chainMany),
		l.byChain(services, chains),
		l.dropped(services),
		by("clients are remembered", unix.NFT_CMP_GT, stickyBit, chainSticky),
	}
}

// outside handles packets from outside, to an address whose traffic policy differs for them.
func (l *layout) outside() []rule {
	return []rule{
		l.ranges(),
		l.dropped(outsideServices),
		l.rule("nobody can serve", func(a *asm) {
			l.compareSlots(a, outsideServices, unix.NFT_CMP_EQ, toReject)
			a.Goto(chainReject)
		}),
		l.byChain(outsideServices, outsideChains),
		l.rule("there is a chain for each number of slots in use", func(a *asm) {
			a.find(setID{kind: outsideServices}, 0, a.dest(0))
			a.Goto(chainOutsideClasses)
		}),
	}
}

// byChain leads to the chain that the map to has for the destination, if the value in the map in is the constant
// byChain.
func (l *layout) byChain(in, to kind) rule {
	return l.rule("in turn, or by the client's address", func(a *asm) {
		l.compareSlots(a, in, unix.NFT_CMP_EQ, byChain)
		a.GotoByMap(setID{kind: to}.name(), 0) // compareSlots has loaded the destination at 0
	})
}

// ranges drops packets from clients outside the allowed source ranges.
func (l *layout) ranges() rule {
	return l.rule("loadBalancerSourceRanges", func(a *asm) {
		after := a.dest(0)
		a.in(setID{kind: restricted}, 0)
		a.SourceAddr(after)
		a.notIn(setID{kind: allowed}, 0)
		a.Drop()
	})
}

// dropped drops packets when the traffic policy is Local and only other nodes have an endpoint.
func (l *layout) dropped(in kind) rule {
	return l.rule("the policy is Local, and whoever can serve is elsewhere", func(a *asm) {
		l.compareSlots(a, in, unix.NFT_CMP_EQ, toDrop)
		a.Drop()
	})
}

// compareSlots reads the value of the packet's destination from the map in, and compares it with n by op. The rule ends
// here if the comparison is false.
func (l *layout) compareSlots(a *asm, in kind, op uint32, n uint16) {
	after := a.dest(0)
	a.find(setID{kind: in}, 0, after)
	a.CompareUint16(after, op, n)
}

func treeName(low, high uint16) string { return fmt.Sprintf("slots-%d-%d", low, high) }

// leaf is the chain for Services of exactly n slots.
func leaf(n uint16) string {
	if n == toReject {
		return chainReject
	}
	return class{slots: n, policy: routing.Random}.chain()
}

// tree adds chains that find a number of slots from low to high by binary search, and returns the name of the first
// chain. The search replaces a jump table: the kernel's only jump table that takes a number from a map is one that nft
// cannot list.
func (l *layout) tree(low, high uint16) string {
	if low == high {
		return leaf(low)
	}
	middle := (low + high) / 2
	left, right := l.tree(low, middle), l.tree(middle+1, high)
	name := treeName(low, high)
	l.add(chain{name: name, rules: []rule{
		l.rule(fmt.Sprintf("%d to %d slots", low, middle), func(a *asm) {
			l.compareSlots(a, services, unix.NFT_CMP_LTE, middle)
			a.Goto(left)
		}),
		l.rule(fmt.Sprintf("%d to %d slots", middle+1, high), func(a *asm) { a.Goto(right) }),
	}})
	return name
}

// rejecting are the rules that reject a connection without an endpoint. TCP gets a reset, because every system treats a
// reset as an immediate refusal.
func (l *layout) rejecting() []rule {
	return []rule{
		l.rule("TCP", func(a *asm) { a.isProto(routing.TCP); a.RejectTCP() }),
		l.rule("the others", func(a *asm) { a.RejectPort() }),
	}
}

// classChain is the chain that draws a slot for the connections of a class.
func (l *layout) classChain(c class) chain {
	if c.seconds > 0 {
		return l.stickyChain(c)
	}
	return chain{name: c.chain(), rules: []rule{
		l.rule(fmt.Sprintf("one of %d", c.slots), func(a *asm) { to := l.draw(a, c); a.DNAT(to) }),
	}}
}

// draw picks a slot by the policy of the class and loads its backend. It returns the register of the backend.
func (l *layout) draw(a *asm, c class) (to nftables.Register) {
	to = nftables.Register(2*l.family.AddrRegisters() + 2)
	slot := nftables.Register(l.family.AddrRegisters() + 2) // after the destination
	switch c.policy {
	case routing.RoundRobin:
		a.NextNumber(slot, uint32(c.slots))
	case routing.SourceHash:
		a.SourceAddr(to)
		a.HashNumber(to, slot, uint32(l.family.AddrSize()), uint32(c.slots), routing.HashSeed)
	case routing.Random, routing.LeastConnections: // no class has LeastConnections: see served
		a.RandomNumber(slot, uint32(c.slots))
	}
	a.dest(0)
	a.find(c.backends(), 0, to)
	return to
}

// entryRule leads from the class's entry to its chain. Classes with the same number of slots and different timeouts are
// tried in turn: a chain returns when the Service is not in its map.
func (l *layout) entryRule(c class) rule {
	return l.rule(c.chain(), func(a *asm) {
		l.compareSlots(a, c.services().kind, unix.NFT_CMP_EQ, c.verdict())
		a.Jump(c.chain())
	})
}
