package routing

import (
	"math"
)

// The sizes of the table of SourceHash. A second size is a step at which most clients move, so there are only two: up
// to smallHashPool backends, and for more.
const (
	hashSlots     = 4096
	smallHashPool = 256
)

// HashTable is the table of SourceHash: the index of the backend in each slot. A client has the slot that HashSlot
// says.
//
// The table is made by rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
// 1998): every backend has a score for every slot, which follows from the two and from nothing else, and the slot goes
// to the highest. So every node has the same table, and when a backend leaves, its slots move and no others. Weights
// scale the scores by the logarithmic method, by which a backend gets its share of the slots: it is off by the chance
// of the scores, the square root of the number of slots that are its due. The table has 4096 slots for up to 256
// backends, and MaxSlots for more. A weight of 0 gets no slot, unless all are 0.
func HashTable(b []Backend) []uint16 {
	if len(b) == 0 {
		return nil
	}
	size := hashSlots
	if len(b) > smallHashPool {
		size = MaxSlots
	}
	seeds := make([]uint64, len(b))
	for i := range b {
		seeds[i] = seedOf(&b[i])
	}
	best := bestByWeight
	if uniform(b) {
		best = bestOfEquals
	}
	table := make([]uint16, size)
	for slot := range table {
		table[slot] = uint16(best(b, seeds, uint64(slot)))
	}
	return table
}

// bestOfEquals is the backend with the highest score for a slot when all have one weight.
func bestOfEquals(_ []Backend, seeds []uint64, slot uint64) int {
	best, highest := 0, uint64(0)
	for i, seed := range seeds {
		if s := mix(seed + slot); s > highest {
			best, highest = i, s
		}
	}
	return best
}

// bestByWeight is the same for weights that differ. With one weight it gives the same order as bestOfEquals.
func bestByWeight(b []Backend, seeds []uint64, slot uint64) int {
	best, highest := 0, -1.0
	for i, seed := range seeds {
		if b[i].Weight == 0 {
			continue
		}
		u := (float64(mix(seed+slot)>>11) + 0.5) / (1 << 53) // in (0, 1)
		if s := -float64(b[i].Weight) / math.Log(u); s > highest {
			best, highest = i, s
		}
	}
	return best
}

// seedOf is a number for each backend's address and port.
func seedOf(b *Backend) uint64 {
	addr := b.Addr.Addr().As16()
	h := uint64(b.Addr.Port())
	for _, octet := range addr {
		h = mix(h<<8 ^ h>>56 ^ uint64(octet))
	}
	return h
}

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit of x decides about every bit of the
// result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
