package nft

import (
	"fmt"
	"maps"
	"slices"

	"viaduct/internal/nftables"
)

// A skeleton is the present state of a family's table in the kernel, without elements: its chains, rules and sets.
type skeleton struct {
	layout  *layout
	classes map[class]bool // the complete classes that were added on demand
	known   map[class]bool // the classes that had a chain when the table was read, complete or not
	sets    map[setID]bool // the sticky maps that were added on demand, one for each timeout
	numbers uint32         // the last set ID; a transaction refers to new sets by such IDs
}

// raise makes the chains, rules and sets of a family in the kernel equal to the layout, and returns the new state. It
// writes nothing when they are equal already. Otherwise it writes one transaction, so connections are served without a
// gap when another version left its table.
func raise(c *nftables.Conn, f nftables.Family) (*skeleton, error) {
	have, err := readTable(c, f)
	if err != nil {
		return nil, err
	}
	k := &skeleton{layout: newLayout(f), classes: map[class]bool{}, known: map[class]bool{}, sets: map[setID]bool{}}
	if have.fits(k.layout) {
		k.adopt(have)
		return k, nil
	}
	if err := c.Commit(k.replace(have)); err != nil {
		return nil, fmt.Errorf("making table %s: %w", tableOf(f), err)
	}
	for name := range have.sets {
		if set, ours := setNamed(name); ours && set.seconds > 0 && have.setFits(set) {
			k.sets[set] = true
		}
	}
	return k, nil
}

// adopt records the classes and the sticky maps that the kernel already has.
func (k *skeleton) adopt(have found) {
	for name := range have.sets {
		if set, ours := setNamed(name); ours && set.seconds > 0 {
			k.sets[set] = true
		}
	}
	for c := range have.classes() {
		k.known[c] = true
		if k.complete(have, c) {
			k.classes[c] = true
		}
	}
}

// classes are the classes that have a chain in the kernel, without those that are always there.
func (have found) classes() map[class]bool {
	found := map[class]bool{}
	for name := range have.chains {
		if c, ok := classNamed(name); ok && !c.always() {
			found[c] = true
		}
	}
	return found
}

// complete reports whether the kernel has the chain of a class, the rule that leads to the chain, and the sticky map.
func (k *skeleton) complete(have found, c class) bool {
	return have.chainFits(k.layout.classChain(c)) && (c.seconds == 0 || k.sets[c.sticky()]) &&
		(c.mapped() || slices.Contains(have.chains[c.entry()].marks, k.layout.entryRule(c).mark()))
}

// replace is the transaction that makes the table equal to the layout. Sets and maps with the right flags keep their
// elements.
func (k *skeleton) replace(have found) []nftables.Message {
	t := tableOf(k.layout.family)
	list := []nftables.Message{t.Add()}
	if have.exists {
		list = append(list, t.Flush())
	}
	for _, s := range []setID{{kind: chains}, {kind: outsideChains}} { // their elements would block the removal of chains
		if have.setFits(s) {
			list = append(list, t.FlushSet(s.name()))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have.chains)) {
		list = append(list, t.DeleteChain(name))
	}
	for _, name := range slices.Sorted(maps.Keys(have.sets)) {
		if set, ours := setNamed(name); !ours || !have.setFits(set) {
			list = append(list, t.DeleteSet(name))
		}
	}
	for _, s := range fixed() {
		if !have.setFits(s) {
			list = append(list, k.newSet(s))
		}
	}
	for _, c := range k.layout.chains {
		list = append(list, t.AddChain(nftables.Chain{Name: c.name, Hook: c.hook}))
	}
	for _, c := range k.layout.chains {
		for _, r := range c.rules {
			list = append(list, t.AddRule(r.kernelRule(c.name)))
		}
	}
	return list
}

func (k *skeleton) newSet(s setID) nftables.Message {
	k.numbers++
	return tableOf(k.layout.family).AddSet(s.kernelSet(k.layout.family), k.numbers)
}

// grow lists the messages that add the missing chains of classes, and records the classes as present. The caller must
// commit the messages.
func (k *skeleton) grow(classes []class) (list []nftables.Message) {
	t := tableOf(k.layout.family)
	for _, c := range classes {
		if k.classes[c] || !c.in(k.layout.family) {
			continue
		}
		k.classes[c] = true
		if set := c.sticky(); c.seconds > 0 && !k.sets[set] {
			k.sets[set] = true
			list = append(list, k.newSet(set))
		}
		made := k.layout.classChain(c)
		list = append(list, t.AddChain(nftables.Chain{Name: made.name, Hook: made.hook}))
		list = append(list, t.FlushChain(made.name))
		for _, r := range made.rules {
			list = append(list, t.AddRule(r.kernelRule(made.name)))
		}
		if !c.mapped() {
			list = append(list, t.AddRule(k.layout.entryRule(c).kernelRule(c.entry())))
		}
	}
	return list
}

// shrink lists the messages that remove the chains of classes for a single address and port, and records the classes as
// absent. When the messages are committed, no element or rule may lead to these chains.
func (k *skeleton) shrink(classes []class) (list []nftables.Message) {
	for _, c := range classes {
		if c.dest.Addr.IsValid() && (k.classes[c] || k.known[c]) {
			delete(k.classes, c)
			delete(k.known, c)
			list = append(list, tableOf(k.layout.family).DeleteChain(c.chain()))
		}
	}
	return list
}
