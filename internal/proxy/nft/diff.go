package nft

import (
	"cmp"
	"slices"
)

// verb is an operation on an element.
type verb uint8

const (
	add verb = iota + 1
	replace
	remove
)

// An op is one change of one element. The ops of a Service may be split over several transactions: in the order of
// rank, no state between two ops sends a connection to a wrong backend.
type op struct {
	verb verb
	element
}

// rank orders the ops of a Service. Source ranges are added before the address and port, and slots before the number of
// slots. Removals have the reverse order.
func (o op) rank() int {
	switch o.set.kind { // others: their rank follows from the verb, below
	case services, outsideServices:
		if o.verb == remove {
			return 5
		}
		return 3
	case addresses, clusterIPs:
		if o.verb == remove {
			return 7
		}
		return 4
	}
	switch {
	case o.verb == replace && (o.set.kind == chains || o.set.kind == outsideChains):
		return 3
	case o.verb == add && o.set.kind == allowed:
		return 0
	case o.verb == add:
		return 1
	case o.verb == replace:
		return 2
	}
	return 6
}

// diff lists the ops that turn the elements had into the elements want, in the order of rank.
func diff(had, want []element) []op {
	before := make(map[key]value, len(had))
	for _, e := range had {
		before[e.key] = e.value
	}
	var ops []op
	for _, e := range want {
		old, there := before[e.key]
		switch {
		case !there:
			ops = append(ops, op{add, e})
		case old != e.value:
			ops = append(ops, op{replace, e})
		}
		delete(before, e.key)
	}
	for _, e := range had {
		if _, left := before[e.key]; left {
			ops = append(ops, op{remove, e})
		}
	}
	inOrder(ops)
	return ops
}

// inOrder sorts ops by rank. Within a rank, the ops of one set are next to each other.
func inOrder(ops []op) {
	slices.SortStableFunc(ops, func(a, b op) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.set.kind, b.set.kind), cmp.Compare(a.set.seconds,
			b.set.seconds),
			cmp.Compare(a.verb, b.verb), cmp.Compare(a.family(), b.family()))
	})
}
