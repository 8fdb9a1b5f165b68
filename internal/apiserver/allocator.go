package apiserver

import (
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"sync"
)

// What an allocator refuses.
var (
	errTaken      = errors.New("provided IP is already allocated")
	errOutOfRange = errors.New("not in the valid range")
	errFull       = errors.New("range is full")
)

// allocator hands out numbers of a dense range, each to one owner. The lower band is left to those who ask for a number by name:
// dynamic ones come from above it while there are any (KEP-3070).
type allocator struct {
	size uint64 // numbers are 0 … size-1
	band uint64 // dynamic ones start here

	mu   sync.Mutex
	used map[uint64]string // number → owner
}

func newAllocator(size, band uint64) *allocator {
	return &allocator{size: size, band: band, used: map[uint64]string{}}
}

// take gives number n to owner. What is taken is refused even to its own owner: two requests about one Service may be under way, and
// the one that fails must not give back what the other was given.
func (a *allocator) take(n uint64, owner string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n >= a.size {
		return errOutOfRange
	}
	if _, ok := a.used[n]; ok {
		return errTaken
	}
	a.used[n] = owner
	return nil
}

// next gives owner a free number: at random, so that a number just freed is not handed to the next in line.
func (a *allocator) next(owner string) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range [][2]uint64{{a.band, a.size}, {0, a.band}} {
		if n, ok := a.firstFree(r[0], r[1]); ok {
			a.used[n] = owner
			return n, nil
		}
	}
	return 0, errFull
}

// firstFree looks from a random place in [from, to) and wraps.
func (a *allocator) firstFree(from, to uint64) (uint64, bool) {
	if from >= to {
		return 0, false
	}
	width := to - from
	start := rand.Uint64N(width)
	for i := range min(width, uint64(len(a.used))+1) { // one of any len(used)+1 numbers is free
		n := from + (start+i)%width
		if _, ok := a.used[n]; !ok {
			return n, true
		}
	}
	return 0, false
}

// release takes n back, if it is owner's.
func (a *allocator) release(n uint64, owner string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used[n] == owner {
		delete(a.used, n)
	}
}

// ipRange is an allocator of the usable addresses of a CIDR: all but the network's own and, for IPv4, the broadcast address.
type ipRange struct {
	prefix netip.Prefix
	*allocator
}

// maxHostBits bounds what one range counts; of a larger network the first part is used.
const maxHostBits = 32

func newIPRange(prefix netip.Prefix) *ipRange {
	prefix = prefix.Masked()
	bits := prefix.Addr().BitLen() - prefix.Bits()
	total := uint64(1) << min(bits, maxHostBits)
	usable := total - 1
	if prefix.Addr().Is4() {
		usable--
	}
	return &ipRange{prefix: prefix, allocator: newAllocator(usable, staticBand(total, 16, 256))}
}

// staticBand is the size of the lower band of a range: a sixteenth (or thirty-second) of it, within bounds, none for small ranges.
func staticBand(size, divisor, most uint64) uint64 {
	if size <= 16 {
		return 0
	}
	return min(max(size/divisor, 16), most)
}

// addr is the n-th usable address.
func (r *ipRange) addr(n uint64) netip.Addr {
	base := new(big.Int).SetBytes(r.prefix.Addr().AsSlice())
	base.Add(base, new(big.Int).SetUint64(n+1))
	addr, _ := netip.AddrFromSlice(base.FillBytes(make([]byte, r.prefix.Addr().BitLen()/8)))
	return addr
}

// number is the inverse of addr; an error says that addr cannot be allocated here.
func (r *ipRange) number(addr netip.Addr) (uint64, error) {
	if !r.prefix.Contains(addr) || addr == r.prefix.Addr() {
		return 0, fmt.Errorf("%w. The range of valid IPs is %s", errOutOfRange, r.prefix)
	}
	off := new(big.Int).SetBytes(addr.AsSlice())
	off.Sub(off, new(big.Int).SetBytes(r.prefix.Addr().AsSlice()))
	if !off.IsUint64() || off.Uint64() > r.size {
		return 0, fmt.Errorf("%w. The range of valid IPs is %s", errOutOfRange, r.prefix)
	}
	return off.Uint64() - 1, nil
}
