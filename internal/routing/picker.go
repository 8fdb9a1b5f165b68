package routing

import (
	"math/bits"
	"net/netip"
	"slices"
)

// A Draw is the input of one pick besides the pool. A Policy reads the fields whose comment names it, and ignores the
// others.
type Draw struct {
	// Random is uniform over all values of its type. It is the only source of chance in a pick. The policies Random and
	// LeastConnections read it, and SourceHash for a client whose address is not known.
	Random uint64
	Turn   uint64     // for RoundRobin: the number of earlier picks
	Client netip.Addr // for SourceHash: the client's address
	Open   OpenCount  // for LeastConnections; nil means that no backend has a connection
}

// An OpenCount returns the number of open connections of the i-th backend of the pool.
type OpenCount func(i int) int64

// A Picker picks backends of one Pool by its Policy. It is made once per change of the pool, so a pick costs the same
// for three backends and for ten thousand; only LeastConnections reads all backends. The Picker is the specification of
// the policies: a proxy backend that picks in another way must give the same shares.
type Picker struct {
	policy   Policy
	backends []Backend
	sums     []uint64 // sums[i] is the total weight of backends[0..i]; nil when all weights are equal
	slots    []uint16 // the index of the backend in each slot; for RoundRobin and SourceHash
}

// NewPicker prepares the picks of p under policy.
func NewPicker(p Pool, policy Policy) *Picker {
	k := &Picker{policy: policy, backends: p.Backends}
	switch {
	case len(p.Backends) == 0:
	case policy == SourceHash:
		k.slots = HashTable(p.Backends)
	case policy == RoundRobin && !uniform(p.Backends):
		k.slots = turnSlots(p.Backends)
	}
	if sums := sumsOf(p.Backends); !uniform(p.Backends) && sums[len(sums)-1] > 0 {
		k.sums = sums
	}
	return k
}

// Len is the number of backends.
func (k *Picker) Len() int { return len(k.backends) }

// Pick picks a backend. It returns false when the pool is empty.
func (k *Picker) Pick(d Draw) (Backend, bool) {
	i, ok := k.index(d)
	if !ok {
		return Backend{}, false
	}
	return k.backends[i], true
}

// index is the index in the pool of the backend that Pick picks.
func (k *Picker) index(d Draw) (int, bool) {
	n := len(k.backends)
	switch {
	case n == 0:
		return 0, false
	case k.policy == RoundRobin && k.slots == nil:
		return int(d.Turn % uint64(n)), true
	case k.policy == RoundRobin:
		return int(k.slots[d.Turn%uint64(len(k.slots))]), true
	case k.policy == SourceHash && d.Client.IsValid():
		return int(k.slots[HashSlot(d.Client, len(k.slots))]), true
	case k.policy == LeastConnections && d.Open != nil:
		return k.leastOpen(d), true
	}
	return k.random(d.Random), true
}

// random picks in proportion to the weights.
func (k *Picker) random(random uint64) int {
	if k.sums == nil {
		return int(scale(random, uint64(len(k.backends))))
	}
	point := scale(random, k.sums[len(k.sums)-1])
	at, _ := slices.BinarySearchFunc(k.sums, point, func(sum, point uint64) int {
		if sum <= point {
			return -1
		}
		return 1
	})
	return at
}

// leastOpen picks the backend with the fewest open connections for its weight. The first pass counts the backends with
// the same lowest load. The second pass takes a random one of them.
func (k *Picker) leastOpen(d Draw) int {
	best, equals := 0, uint64(0)
	for i := range k.backends {
		switch c := k.compareLoad(d.Open, i, best); {
		case equals == 0 || c < 0:
			best, equals = i, 1
		case c == 0:
			equals++
		}
	}
	skip := scale(d.Random, equals)
	for i := best; i < len(k.backends); i++ {
		if k.compareLoad(d.Open, i, best) != 0 {
			continue
		}
		if skip == 0 {
			return i
		}
		skip--
	}
	return best // the counts changed between the two passes
}

// compareLoad compares the loads of backends i and j with one more connection each. The load is the number of
// connections divided by the weight. A weight of 0 is an infinite load.
func (k *Picker) compareLoad(open OpenCount, i, j int) int {
	wi, wj := int64(k.backends[i].Weight), int64(k.backends[j].Weight)
	switch {
	case wi == 0 && wj == 0:
		return 0
	case wi == 0:
		return 1
	case wj == 0:
		return -1
	}
	left, right := (open(i)+1)*wj, (open(j)+1)*wi
	switch {
	case left < right:
		return -1
	case left > right:
		return 1
	}
	return 0
}

// PickOther picks a backend for a second try, among the backends for which skip is false. Under SourceHash it takes the
// next backend in the table after the client's slot. Otherwise it applies the policy to the remaining backends. Its
// cost grows with the number of backends. It returns false when skip is true for all of them.
func (k *Picker) PickOther(d Draw, skip func(Backend) bool) (Backend, bool) {
	if k.policy == SourceHash && d.Client.IsValid() {
		return k.nextInTable(d.Client, skip)
	}
	var rest []Backend
	var places []int
	for i, b := range k.backends {
		if !skip(b) {
			rest, places = append(rest, b), append(places, i)
		}
	}
	if open := d.Open; open != nil {
		d.Open = func(i int) int64 { return open(places[i]) }
	}
	return NewPicker(Pool{Backends: rest}, k.policy).Pick(d)
}

// nextInTable is the first backend in the table, from the client's slot on, for which skip is false.
func (k *Picker) nextInTable(client netip.Addr, skip func(Backend) bool) (Backend, bool) {
	if len(k.slots) == 0 {
		return Backend{}, false
	}
	first := HashSlot(client, len(k.slots))
	for i := range k.slots {
		if b := k.backends[k.slots[(first+i)%len(k.slots)]]; !skip(b) {
			return b, true
		}
	}
	return Backend{}, false
}

// scale maps random, which is uniform over all of uint64, to 0..n-1. The bias is less than n/2^64.
func scale(random, n uint64) uint64 {
	high, _ := bits.Mul64(random, n)
	return high
}

func uniform(b []Backend) bool {
	return !slices.ContainsFunc(b, func(x Backend) bool { return x.Weight != b[0].Weight })
}

func sumsOf(b []Backend) []uint64 {
	sums, total := make([]uint64, len(b)), uint64(0)
	for i := range b {
		total += uint64(b[i].Weight)
		sums[i] = total
	}
	return sums
}
