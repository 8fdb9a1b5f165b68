package routing

import (
	"math"
)

// The size of the table of SourceHash is hashSlots for up to smallHashPool backends, and MaxSlots for more. There are
// only two sizes, because most clients get another backend when the size changes.
const (
	hashSlots     = 4096
	smallHashPool = 256
)

// HashTable is the table of SourceHash: the index of the backend in each slot. HashSlot computes the slot of a client.
//
// The table is made by rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
// 1998). Every backend has a score for every slot, which depends only on the backend and the slot. The backend with the
// highest score gets the slot. So every node has the same table, and when a backend leaves, only its slots get another
// backend. Weights scale the scores by the logarithmic method, so a backend gets its share of the slots. The scores are
// random, so the typical error of a share of n slots is the square root of n. The table has 4096 slots for up to 256
// backends, and MaxSlots for more. A backend with weight 0 gets no slot, unless all weights are 0.
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

// bestOfEquals is the backend with the highest score for a slot when all weights are equal.
func bestOfEquals(_ []Backend, seeds []uint64, slot uint64) int {
	best, highest := 0, uint64(0)
	for i, seed := range seeds {
		if s := mix(seed + slot); s > highest {
			best, highest = i, s
		}
	}
	return best
}

// bestByWeight is the backend with the highest score for a slot when the weights differ. With equal weights, it gives
// the same order as bestOfEquals.
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

// seedOf is a hash of the backend's address and port.
func seedOf(b *Backend) uint64 {
	addr := b.Addr.Addr().As16()
	h := uint64(b.Addr.Port())
	for _, octet := range addr {
		h = mix(h<<8 ^ h>>56 ^ uint64(octet))
	}
	return h
}

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit of x affects every bit of the result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
