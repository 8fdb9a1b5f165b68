package allocation

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/big"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// bands are the numbers 0 … count-1. The first of them are the static band, which is left for requests that name a
// number: dynamic allocation uses the numbers above while there are any (KEP-3070).
type bands struct {
	count  uint64
	static uint64 // how many of count
}

// staticBand returns the size of the static band of a range: a share of the range within bounds, and nothing of a
// small range.
func staticBand(size, divisor, most uint64) uint64 {
	if size <= 16 {
		return 0
	}
	return min(max(size/divisor, 16), most)
}

// dynamic returns a random number of the dynamic band. random returns a number below its argument. ok is false if
// the band is empty.
func (b bands) dynamic(random func(uint64) uint64) (uint64, bool) {
	if b.static >= b.count {
		return 0, false
	}
	return b.static + random(b.count-b.static), true
}

// upper iterates over the dynamic band from a random start, and lower over the static band.
func (b bands) upper(random func(uint64) uint64) iter.Seq[uint64] {
	return ring(b.static, b.count, random)
}

func (b bands) lower(random func(uint64) uint64) iter.Seq[uint64] { return ring(0, b.static, random) }

// ring iterates once over the numbers from … to-1, from a random start: a number that was freed a moment ago is not
// the next one to be allocated.
func ring(from, to uint64, random func(uint64) uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		if from >= to {
			return
		}
		width := to - from
		start := random(width)
		for i := range width {
			// (start+i) mod width, where the sum may not fit.
			n := start + i
			if i >= width-start {
				n = i - (width - start)
			}
			if !yield(from + n) {
				return
			}
		}
	}
}

// shortestIPv6 is the shortest prefix of an IPv6 range, as upstream; a larger range cannot be counted in 64 bits.
const shortestIPv6 = 64

var errTooLarge = errors.New("an IPv6 range must be a /64 or smaller")

// Range is the set of addresses of a CIDR that can be ClusterIPs: all except the network address and, for IPv4, the
// broadcast address.
type Range struct {
	prefix netip.Prefix
	bands
}

// NewRange returns an error for an IPv6 prefix shorter than /64. Bits after the prefix are ignored.
func NewRange(prefix netip.Prefix) (Range, error) {
	prefix = prefix.Masked()
	hostBits := prefix.Addr().BitLen() - prefix.Bits()
	if prefix.Addr().Is6() && prefix.Bits() < shortestIPv6 {
		return Range{}, fmt.Errorf("%s: %w", prefix, errTooLarge)
	}
	last := uint64(math.MaxUint64) // as an offset from the network's address
	if hostBits < 64 {
		last = 1<<hostBits - 1
	}
	size := last // one less only for the largest range, where no band depends on it
	if size < math.MaxUint64 {
		size++
	}
	usable := last
	if prefix.Addr().Is4() && usable > 0 {
		usable--
	}
	return Range{prefix: prefix, bands: bands{count: usable, static: min(usable, staticBand(size, 16, 256))}}, nil
}

// First returns the lowest address of the range, which the Service kubernetes has. It returns the network address if
// the range is empty.
func (r Range) First() netip.Addr { return r.at(0) }

func (r Range) family() corev1.IPFamily { return FamilyOf(r.prefix.Addr()) }

// at returns the n-th usable address.
func (r Range) at(n uint64) netip.Addr {
	if r.count == 0 {
		return r.prefix.Addr()
	}
	sum := new(big.Int).SetBytes(r.prefix.Addr().AsSlice())
	sum.Add(sum, new(big.Int).SetUint64(n)).Add(sum, big.NewInt(1))
	addr, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, r.prefix.Addr().BitLen()/8)))
	return addr
}

// contains reports whether addr is a usable address of the range.
func (r Range) contains(addr netip.Addr) bool {
	if !r.prefix.Contains(addr) || addr == r.prefix.Addr() || r.count == 0 {
		return false
	}
	return addr.Compare(r.at(r.count-1)) <= 0
}

// FamilyOf returns the family of an address.
func FamilyOf(addr netip.Addr) corev1.IPFamily {
	if addr.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// PortRange is the range of node ports that may be allocated, both ends included; 1 <= First <= Last <= 65535.
type PortRange struct{ First, Last int32 }

// DefaultNodePorts returns upstream's default range.
func DefaultNodePorts() PortRange { return PortRange{First: 30000, Last: 32767} }

func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

func (r PortRange) contains(port int32) bool { return r.First <= port && port <= r.Last }

func (r PortRange) at(n uint64) int32 { return r.First + int32(n) }

func (r PortRange) bands() bands {
	count := uint64(r.Last - r.First + 1)
	return bands{count: count, static: staticBand(count, 32, 128)}
}
