package nft

import (
	"fmt"
	"maps"
	"slices"

	"viaduct/internal/nftables"
)

// A skeleton is the part of a family's table that is no elements, as it is in the kernel now.
type skeleton struct {
	layout  *layout
	classes map[class]bool // those made on demand
	known   map[class]bool // those that were there before, complete or not
	sets    map[setID]bool // likewise: a sticky map for each timeout
	numbers uint32         // of sets, for the transaction that makes them
}

// raise makes the skeleton of a family true in the kernel, whatever it holds of it, in one transaction: nothing when it
// is as it should be, and without a gap when another version left its own. It returns how it is then.
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

// adopt notes which classes the kernel already has.
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

// classes are those that the entries in the kernel lead to.
func (have found) classes() map[class]bool {
	found := map[class]bool{}
	for name := range have.chains {
		if c, ok := classNamed(name); ok && !c.always() {
			found[c] = true
		}
	}
	return found
}

// complete reports whether a class has its chain, its way in and its map.
func (k *skeleton) complete(have found, c class) bool {
	return have.chainFits(k.layout.classChain(c)) && (c.seconds == 0 || k.sets[c.sticky()]) &&
		(c.mapped() || slices.Contains(have.chains[c.entry()].marks, k.layout.entryRule(c).mark()))
}

// replace is the transaction that makes the table what the layout says. Sets and maps that fit keep their elements.
func (k *skeleton) replace(have found) []nftables.Message {
	t := tableOf(k.layout.family)
	list := []nftables.Message{t.Add()}
	if have.exists {
		list = append(list, t.Flush())
	}
	for _, s := range []setID{{kind: chains}, {kind: outsideChains}} { // else they hold the chains
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

// grow is what makes the chains of classes that are not there yet, and notes that they are. It must be committed.
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

// shrink is what removes the chains of classes that belong to one place only, and notes that they are gone. Nothing may
// lead to them any more when it is committed.
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
