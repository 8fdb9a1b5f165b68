package nft

import (
	"fmt"
	"strings"
)

// What the map services says besides a plain number of slots.
const (
	toReject  = 0      // nobody may serve: the client is told
	toDrop    = 0xffff // nobody may serve, but somebody on another node can: the client is not told
	stickyBit = 0x8000 // the number of slots of a Service that remembers its clients
	maxSlots  = 0x7ffe // the most slots there can be
)

// treeSlots is how many numbers of slots have a chain that is always there, found by a tree. A Service with more slots
// has a chain made for it, which other Services with as many share.
const treeSlots = 64

// A class is what Services that share a chain have in common.
type class struct {
	slots   uint16
	seconds uint32 // how long clients are remembered; 0: not at all
	outside bool   // it reads the maps for connections from elsewhere
}

// always reports whether the chain of c is part of the layout.
func (c class) always() bool { return !c.outside && c.seconds == 0 && c.slots <= treeSlots }

// chain is the name of the class's chain.
func (c class) chain() string {
	name := fmt.Sprintf("pick-%d", c.slots)
	if c.seconds > 0 {
		name = fmt.Sprintf("stick-%d-%ds", c.slots, c.seconds)
	}
	if c.outside {
		name = "outside-" + name
	}
	return name
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
	if c.seconds > 0 {
		return c.slots | stickyBit
	}
	return c.slots
}

func (c class) services() setID { return setID{kind: pickKind(c.outside, outsideServices, services)} }
func (c class) backends() setID { return setID{kind: pickKind(c.outside, outsideBackends, backends)} }
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
	rest, outside := strings.CutPrefix(name, "outside-")
	c.outside = outside
	if n, err := fmt.Sscanf(rest, "pick-%d", &c.slots); err != nil || n != 1 {
		if n, err := fmt.Sscanf(rest, "stick-%d-%ds", &c.slots, &c.seconds); err != nil || n != 2 {
			return class{}, false
		}
	}
	return c, c.chain() == name
}
