package nft

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

// The values of the map services that are no plain number of slots, and the limit of the number.
const (
	toReject  = 0                // there is no backend: the connection is rejected
	toDrop    = 0xffff           // there is no backend on this node, but there is one elsewhere: the packet is dropped
	stickyBit = 0x8000           // added to the number of slots of a Service with session affinity
	byChain   = 0x7fff           // the chain is in the map chains: for every policy except random
	maxSlots  = routing.MaxSlots // the largest number of slots
)

// treeSlots is the largest number of slots whose chain is always in the table. A tree of chains finds it. A chain for
// more slots is added on demand; all Services with the same number of slots share the chain.
const treeSlots = 64

// A class describes one chain that picks a slot. Services of the same class share the chain.
type class struct {
	slots   uint16
	seconds uint32         // the timeout of session affinity; 0: no affinity
	outside bool           // it reads the maps for connections from outside the node
	policy  routing.Policy // Random, RoundRobin or SourceHash
	dest    routing.Dest   // only for RoundRobin: each address and port has a class, and so a counter, of its own
}

// always reports whether the chain of c is part of the layout.
func (c class) always() bool {
	return !c.outside && c.seconds == 0 && !c.mapped() && c.slots <= treeSlots
}

// mapped reports whether the map chains leads to the class's chain. The chains of other classes are found by comparing
// the number of slots.
func (c class) mapped() bool { return c.policy != routing.Random }

// in reports whether the table of a family needs the chain of c.
func (c class) in(f nftables.Family) bool {
	return !c.dest.Addr.IsValid() || nftables.FamilyOf(c.dest.Addr.Addr()) == f
}

// chain is the name of the class's chain.
func (c class) chain() string {
	var name strings.Builder
	if c.outside {
		name.WriteString("outside-")
	}
	word := map[routing.Policy]string{routing.Random: "pick", routing.SourceHash: "hash",
		routing.RoundRobin: "turn"}[c.policy]
	switch {
	case c.seconds > 0 && c.mapped():
		name.WriteString("stick-" + word)
	case c.seconds > 0:
		name.WriteString("stick")
	default:
		name.WriteString(word)
	}
	fmt.Fprintf(&name, "-%d", c.slots)
	if c.seconds > 0 {
		fmt.Fprintf(&name, "-%ds", c.seconds)
	}
	if c.policy == routing.RoundRobin {
		// nft takes no colon in the name of a chain
		addr := strings.ReplaceAll(c.dest.Addr.Addr().String(), ":", "_")
		fmt.Fprintf(&name, "-at-%s-%s-%d", addr, strings.ToLower(c.dest.Proto.String()), c.dest.Addr.Port())
	}
	return name.String()
}

// entry is the chain that leads to the class's chain. It compares the number of slots with each class in turn.
func (c class) entry() string {
	switch {
	case c.outside:
		return chainOutsideClasses
	case c.seconds > 0:
		return chainSticky
	}
	return chainMany
}

// verdict is the value of the map services for Services of the class.
func (c class) verdict() uint16 {
	switch {
	case c.mapped():
		return byChain
	case c.seconds > 0:
		return c.slots | stickyBit
	}
	return c.slots
}

func (c class) services() setID { return setID{kind: pickKind(c.outside, outsideServices, services)} }
func (c class) backends() setID { return setID{kind: pickKind(c.outside, outsideBackends, backends)} }
func (c class) chains() setID   { return setID{kind: pickKind(c.outside, outsideChains, chains)} }
func (c class) sticky() setID {
	return setID{kind: pickKind(c.outside, outsideSticky, sticky), seconds: c.seconds}
}

func pickKind(outside bool, a, b kind) kind {
	if outside {
		return a
	}
	return b
}

// classNamed parses the name of a class's chain.
func classNamed(name string) (c class, ok bool) {
	c.policy = routing.Random
	rest, outside := strings.CutPrefix(name, "outside-")
	c.outside = outside
	rest, place, turns := strings.Cut(rest, "-at-")
	rest, stick := strings.CutPrefix(rest, "stick-")
	switch {
	case turns:
		c.policy = routing.RoundRobin
		rest = strings.TrimPrefix(rest, "turn-")
		c.dest = destNamed(place)
	case strings.HasPrefix(rest, "hash-"):
		c.policy = routing.SourceHash
		rest = strings.TrimPrefix(rest, "hash-")
	case !stick:
		rest = strings.TrimPrefix(rest, "pick-")
	}
	if stick {
		_, err := fmt.Sscanf(rest, "%d-%ds", &c.slots, &c.seconds)
		return c, err == nil && c.chain() == name
	}
	_, err := fmt.Sscanf(rest, "%d", &c.slots)
	return c, err == nil && c.chain() == name
}

// destNamed parses the address and port in the name of a chain, for example 10.96.0.10-tcp-80. It returns the zero Dest
// for other text.
func destNamed(place string) (d routing.Dest) {
	parts := strings.Split(place, "-")
	if len(parts) != 3 {
		return routing.Dest{}
	}
	addr, err := netip.ParseAddr(strings.ReplaceAll(parts[0], "_", ":"))
	port, errPort := strconv.ParseUint(parts[2], 10, 16)
	if err != nil || errPort != nil || d.Proto.UnmarshalText([]byte(strings.ToUpper(parts[1]))) != nil {
		return routing.Dest{}
	}
	d.Addr = netip.AddrPortFrom(addr, uint16(port))
	return d
}
