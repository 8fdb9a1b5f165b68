package nft

import (
	"fmt"
	"maps"
	"slices"
)

// A skeleton is the part of a family's table that is no elements, as it is in the kernel now.
type skeleton struct {
	layout  *layout
	classes map[class]bool // those made on demand
	sets    map[setID]bool // likewise: a sticky map for each timeout
	numbers uint32         // of sets, for the transaction that makes them
}

// raise makes the skeleton of a family true in the kernel, whatever it holds of it, in one transaction: nothing when it
// is as it should be, and without a gap when another version left its own. It returns how it is then.
func (s *socket) raise(f family) (*skeleton, error) {
	have, err := s.read(f)
	if err != nil {
		return nil, err
	}
	k := &skeleton{layout: newLayout(f), classes: map[class]bool{}, sets: map[setID]bool{}}
	if have.fits(k.layout) {
		k.adopt(have)
		return k, nil
	}
	if err := s.commit(k.replace(have)); err != nil {
		return nil, fmt.Errorf("making table %s %s: %w", f, TableName, err)
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
	return have.chainFits(k.layout.classChain(c)) && slices.Contains(have.chains[c.entry()].marks,
		k.layout.entryRule(c).mark()) &&
		(c.seconds == 0 || k.sets[c.sticky()])
}

// replace is the transaction that makes the table what the layout says. Sets and maps that fit keep their elements.
func (k *skeleton) replace(have found) []message {
	f := k.layout.family
	list := []message{f.newTable()}
	if have.exists {
		list = append(list, f.flushRules(""))
	}
	for _, name := range slices.Sorted(maps.Keys(have.chains)) {
		list = append(list, f.deleteChain(name))
	}
	for _, name := range slices.Sorted(maps.Keys(have.sets)) {
		if set, ours := setNamed(name); !ours || !have.setFits(set) {
			list = append(list, f.deleteSet(name))
		}
	}
	for _, s := range fixed() {
		if !have.setFits(s) {
			list = append(list, k.newSet(s))
		}
	}
	for _, c := range k.layout.chains {
		list = append(list, f.newChain(c))
	}
	for _, c := range k.layout.chains {
		for _, r := range c.rules {
			list = append(list, f.newRule(c.name, r))
		}
	}
	return list
}

func (k *skeleton) newSet(s setID) message {
	k.numbers++
	return k.layout.family.newSet(s, k.numbers)
}

// grow is what makes the chains of classes that are not there yet, and notes that they are. It must be committed.
func (k *skeleton) grow(classes []class) (list []message) {
	f := k.layout.family
	for _, c := range classes {
		if k.classes[c] {
			continue
		}
		k.classes[c] = true
		if set := c.sticky(); c.seconds > 0 && !k.sets[set] {
			k.sets[set] = true
			list = append(list, k.newSet(set))
		}
		made := k.layout.classChain(c)
		list = append(list, f.newChain(made))
		list = append(list, f.flushRules(made.name))
		for _, r := range made.rules {
			list = append(list, f.newRule(made.name, r))
		}
		list = append(list, f.newRule(c.entry(), k.layout.entryRule(c)))
	}
	return list
}
