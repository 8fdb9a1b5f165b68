package routing

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func TestSlots(t *testing.T) {
	for _, c := range []struct {
		weights []uint32
		want    []int
	}{
		{nil, []int{}},
		{[]uint32{1, 1}, []int{1, 1}},
		{[]uint32{100, 100, 50}, []int{2, 2, 1}},
		{[]uint32{5, 0}, []int{1, 0}},
		{[]uint32{0, 0}, []int{1, 1}},
		{[]uint32{1, 63}, []int{1, 63}},
		{[]uint32{1, 64}, []int{4, 252}},
		{[]uint32{1, 3_000_000_000}, []int{1, 255}},
		{[]uint32{0, 1, 999}, []int{0, 1, 255}},
	} {
		got, total := Slots(poolWith(c.weights...).Backends)
		sum := 0
		for _, n := range got {
			sum += n
		}
		if !slices.Equal(got, c.want) || total != sum {
			t.Errorf("weights %v: %v of %d slots, want %v", c.weights, got, total, c.want)
		}
	}
}

// Whatever the weights: the slots are few enough, none with a weight is left out, and a share is off by less than what
// docs/balancing.md promises.
func TestSlotsOfRandomWeights(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 500 {
		b := make([]Backend, 1+r.IntN(300))
		sum := uint64(0)
		for i := range b {
			b[i].Weight = uint32(r.IntN(1001))
			sum += uint64(b[i].Weight)
		}
		list, total := Slots(b)
		if total > MaxSlots {
			t.Fatalf("%d slots", total)
		}
		for i := range b {
			if sum > 0 && (list[i] == 0) != (b[i].Weight == 0) {
				t.Fatalf("weight %d has %d slots", b[i].Weight, list[i])
			}
			due := float64(b[i].Weight) * float64(total) / float64(max(sum, 1))
			if off := float64(list[i]) - due; sum > 0 && (off > 1 || off < -2) {
				t.Fatalf("weight %d of %d has %d of %d slots", b[i].Weight, sum, list[i], total)
			}
		}
	}
}

func TestInterleaveKeepsLargeSharesApart(t *testing.T) {
	if got := Interleave([]int{4, 2, 1}); !slices.Equal(got, []int{0, 1, 0, 2, 0, 1, 0}) {
		t.Errorf("4:2:1 is filled in the order %v", got)
	}
	if got := Interleave([]int{1, 1, 1}); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("1:1:1 is filled in the order %v", got)
	}
}

// hashPool has n backends of the weights given in turn.
func hashPool(n int, weights ...uint32) (b []Backend) {
	for i := range n {
		addr := netip.AddrFrom4([4]byte{10, 244, byte(i >> 8), byte(i)})
		b = append(b, Backend{Addr: netip.AddrPortFrom(addr, 8080), Weight: weights[i%len(weights)]})
	}
	return b
}

// The share of a backend is a draw of 4096 slots: within five standard deviations. The tables are fixed.
func TestHashTableIsSharedByWeight(t *testing.T) {
	for _, b := range [][]Backend{hashPool(1, 1), hashPool(3, 1), hashPool(10, 1, 2, 3), hashPool(100, 1),
		hashPool(7, 0, 1), hashPool(3, 0), hashPool(300, 5), hashPool(256, 1, 1000)} {
		table, sum, got := HashTable(b), uint32(0), map[uint16]int{}
		for _, who := range table {
			got[who]++
		}
		for _, who := range b {
			sum += who.Weight
		}
		for i, who := range b {
			share := 1 / float64(len(b))
			if sum > 0 {
				share = float64(who.Weight) / float64(sum)
			}
			want := share * float64(len(table))
			if off := math.Abs(float64(got[uint16(i)]) - want); off > 1+5*math.Sqrt(want*(1-share)) {
				t.Errorf("%d backends: weight %d has %d of %d slots, want about %.0f", len(b), who.Weight, got[uint16(i)],
					len(table), want)
			}
		}
	}
}

// When a backend leaves, only its clients move; when its weight falls, only clients of it; when a backend comes, only
// clients to it.
func TestHashTableMovesNoOthers(t *testing.T) {
	for _, weights := range [][]uint32{{1}, {1, 2, 7}} {
		for _, n := range []int{2, 3, 10, 17, 100, 256} {
			b := hashPool(n, weights...)
			table := HashTable(b)
			for _, gone := range []int{0, n / 2, n - 1} {
				rest := slices.Delete(slices.Clone(b), gone, gone+1)
				for slot, who := range HashTable(rest) {
					was, now := b[table[slot]], rest[who]
					if was != now && was != b[gone] {
						t.Fatalf("%d backends: slot %d moved from %v to %v when %v left", n, slot, was, now, b[gone])
					}
				}
			}
			less := slices.Clone(b)
			less[0].Weight *= 2
			for slot, who := range HashTable(less) {
				if who != table[slot] && who != 0 {
					t.Fatalf("%d backends: slot %d moved to %v, and the weight of %v grew", n, slot, b[who], b[0])
				}
			}
		}
	}
}
