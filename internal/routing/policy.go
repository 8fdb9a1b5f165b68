package routing

import (
	"math/bits"
	"slices"
)

// A Picker picks backends of one Pool by its Policy. It is made once a change of the pool, so that a pick costs the
// same for three backends and for ten thousand.
type Picker struct {
	backends []Backend
	sums     []uint64 // sums[i] is the weight of backends[0..i]; nil when all weigh the same
}

// NewPicker prepares the picks of p under policy. Random is the only policy so far.
func NewPicker(p Pool, _ Policy) *Picker {
	k := &Picker{backends: p.Backends}
	if sums := sumsOf(p.Backends); !uniform(p.Backends) && sums[len(sums)-1] > 0 {
		k.sums = sums
	}
	return k
}

// Len is how many backends there are to pick from.
func (k *Picker) Len() int { return len(k.backends) }

// Pick picks a backend. random is uniform over all its values and is the only chance in it. False when there is none.
func (k *Picker) Pick(random uint64) (Backend, bool) {
	if len(k.backends) == 0 {
		return Backend{}, false
	}
	if k.sums == nil {
		return k.backends[scale(random, uint64(len(k.backends)))], true
	}
	point := scale(random, k.sums[len(k.sums)-1])
	at, _ := slices.BinarySearchFunc(k.sums, point, func(sum, point uint64) int {
		if sum <= point {
			return -1
		}
		return 1
	})
	return k.backends[at], true
}

// PickOther picks among the backends that skip does not name, by the same shares. It looks at all of them, so it is for
// second tries. False when skip names all.
func (k *Picker) PickOther(random uint64, skip func(Backend) bool) (Backend, bool) {
	rest := slices.DeleteFunc(slices.Clone(k.backends), skip)
	return NewPicker(Pool{Backends: rest}, Random).Pick(random)
}

// scale maps random, uniform over all of uint64, to 0..n-1 with a bias under n/2^64.
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
