package nft

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

// What the map services says besides a plain number of slots.
const (
	toReject  = 0                // no backend may serve: the client gets a refusal
	toDrop    = 0xffff           // no backend may serve, but one on another node can: the packet is dropped
	stickyBit = 0x8000           // the number of slots of a Service that remembers its clients
	byChain   = 0x7fff           // the map chains says which chain serves: every policy but random
	maxSlots  = routing.MaxSlots // the largest number of slots
)

// treeSlots is how many numbers of slots have a chain that is always there, found by a tree. A Service with more slots
// has a chain made for it, which other Services with as many share.
const treeSlots = 64

// A class is what Services that share a chain have in common.
type class struct {
	slots   uint16
	seconds uint32         // how long clients are remembered; 0: not at all
	outside bool           // it reads the maps for connections from elsewhere
	policy  routing.Policy // Random, RoundRobin or SourceHash
	dest    routing.Dest   // under RoundRobin the one place that the class is for, which so has a turn of its own
}

// always reports whether the chain of c is part of the layout.
func (c class) always() bool {
	return !c.outside && c.seconds == 0 && !c.mapped() && c.slots <= treeSlots
}

// mapped reports whether the map chains leads to the class's chain, rather than a comparison with the number of slots.
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

// entry is the chain that leads to the class's chain by comparing with each such class.
func (c class) entry() string {
	switch {
	case c.outside:
		return chainOutsideClasses
	case c.seconds > 0:
		return chainSticky
	}
	return chainMany
}

// verdict is what the map services says for members of the class.
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

// classNamed reads the name of a class's chain.
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

// destNamed reads a place in the name of a chain, as 10.96.0.10-tcp-80; the zero Dest if it is none.
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
