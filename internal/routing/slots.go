package routing

import (
	"cmp"
	"slices"
)

// MaxSlots is the largest number of slots.
const MaxSlots = 32766

// exactSlots is the largest number of slots at which the shares are exact.
const exactSlots = 64

// tableSizes are the sizes of the tables with rounded shares. There are few sizes, so that Services can share the
// chains that the nftables backend makes for a size. A table has at least slotsPerBackend slots for each backend; when
// no size is large enough for that, it has MaxSlots.
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

// Slots returns the number of slots of each backend, and the total number of slots. When each slot is equally likely,
// connections are distributed by the weights. Backends of equal weight have one slot each. Different weights are first
// divided by their greatest common divisor. If their sum is then at most 64, the shares are exact. Otherwise the shares
// are rounded to whole slots of a table that has 16 or more slots for each backend, up to MaxSlots in total. A backend
// with weight 0 gets no slot, unless all weights are 0; every other backend gets at least one. There are at most
// MaxSlots slots if there are at most MaxSlots backends.
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

// quotas distributes size slots to the backends by their weights; sum is the sum of the weights. Each backend gets its
// exact share rounded down, and at least one slot. The difference to size is settled by the largest remainders.
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
	// due is the exact share of a backend minus its present slots, in units of 1/sum slots.
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

// Interleave is the order in which backends fill the slots of a table, as indices of the backends; the i-th backend
// gets list[i] slots. The slots of one backend are spread over the table, not consecutive. The same list gives the same
// order.
func Interleave(list []int) []int {
	type turn struct {
		at  int // the position in the table, in units of 1/(2·list[i]) of its length
		of  int // list[i]
		who int // the index of the backend
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
