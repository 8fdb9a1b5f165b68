package routing

import (
	"cmp"
	"slices"
)

// MaxSlots is how many slots there can be.
const MaxSlots = 32766

// exactSlots is how many slots there may be for the shares to be exact.
const exactSlots = 64

// tableSizes are the sizes of the tables that are not exact. There are few, so that a backend can share what it makes
// for a size among Services. A table has at least slotsPerBackend times as many slots as there are backends, while one
// of them is large enough.
var tableSizes = [...]int{256, 1024, 4096, 16384, MaxSlots}

const slotsPerBackend = 16

// tableSize is the size of the table for n backends.
func tableSize(n int) int {
	for _, size := range tableSizes {
		if size >= n*slotsPerBackend {
			return size
		}
	}
	return MaxSlots
}

// Slots says in how many slots each backend is, and how many slots there are: a connection that gets each slot with the
// same chance is spread by the weights. Backends of one weight have one slot each. Other weights are exact if 64 slots
// are enough, after what all of them have in common is divided out; else the shares are rounded to whole slots of a
// table that has 16 slots or more for each backend. A weight of 0 gets no slot, unless all are 0; any other gets one at
// least. There are at most MaxSlots slots if there are no more backends than that.
func Slots(b []Backend) (list []int, total int) {
	sum, common := uint64(0), uint64(0)
	for i := range b {
		sum += uint64(b[i].Weight)
		common = gcd(common, uint64(b[i].Weight))
	}
	if sum > 0 && !uniform(b) && sum/common > exactSlots {
		size := tableSize(len(b))
		return quotas(b, sum, size), size
	}
	list = make([]int, len(b))
	for i := range b {
		switch {
		case sum == 0:
			list[i] = 1
		default:
			list[i] = int(uint64(b[i].Weight) / common)
		}
		total += list[i]
	}
	return list, total
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// quotas shares size slots among the backends by their weights, the sum of which is sum: each gets the whole slots that
// are its due and one at least; what is left, or is missing, goes by the largest remainders.
func quotas(b []Backend, sum uint64, size int) []int {
	list, left := make([]int, len(b)), size
	order := make([]int, 0, len(b))
	for i := range b {
		if b[i].Weight == 0 {
			continue
		}
		list[i] = max(1, int(uint64(b[i].Weight)*uint64(size)/sum))
		left -= list[i]
		order = append(order, i)
	}
	// due is how much more a backend should have than it has, in units of 1/sum slots.
	due := func(i int) int64 { return int64(uint64(b[i].Weight)*uint64(size)) - int64(uint64(list[i])*sum) }
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(due(j), due(i)), b[i].Addr.Compare(b[j].Addr))
	})
	for at := 0; left > 0; at = (at + 1) % len(order) {
		list[order[at]]++
		left--
	}
	for at := len(order) - 1; left < 0; at = (at + len(order) - 1) % len(order) {
		if list[order[at]] > 1 {
			list[order[at]]--
			left++
		}
	}
	return list
}

// Interleave is the order in which the slots of a table are filled, as indices of the backends, of which the i-th gets
// list[i]: backends of large shares stand apart rather than in a row. The same list gives the same order.
func Interleave(list []int) []int {
	type turn struct {
		at  int // of 2·list[i] equal parts of the table
		of  int // list[i]
		who int
	}
	var turns []turn
	for i, n := range list {
		for j := range n {
			turns = append(turns, turn{2*j + 1, n, i})
		}
	}
	if slices.ContainsFunc(turns, func(t turn) bool { return t.of != 1 }) {
		slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.at*b.of, b.at*a.of) })
	}
	order := make([]int, len(turns))
	for i, t := range turns {
		order[i] = t.who
	}
	return order
}

// turnSlots are the slots of RoundRobin.
func turnSlots(b []Backend) []uint16 {
	list, _ := Slots(b)
	order := Interleave(list)
	slots := make([]uint16, len(order))
	for i, who := range order {
		slots[i] = uint16(who)
	}
	return slots
}
