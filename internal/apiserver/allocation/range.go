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

// bands are the numbers 0 … count-1. The first ones, the static band, are left to those who ask for a number by name:
// dynamic ones come from above it while there are any (KEP-3070).
type bands struct {
	count  uint64
	static uint64 // how many of count
}

// staticBand is how much of a range of this size is left to static numbers: a part of it within bounds, nothing of a
// small one.
func staticBand(size, divisor, most uint64) uint64 {
	if size <= 16 {
		return 0
	}
	return min(max(size/divisor, 16), most)
}

// dynamic returns a number of the dynamic band, chosen by random, which returns a number below its argument. It is
// false if there are none.
func (b bands) dynamic(random func(uint64) uint64) (uint64, bool) {
	if b.static >= b.count {
		return 0, false
	}
	return b.static + random(b.count-b.static), true
}

// upper goes through the dynamic band from a random place on, and lower through the static band.
func (b bands) upper(random func(uint64) uint64) iter.Seq[uint64] {
	return ring(b.static, b.count, random)
}

func (b bands) lower(random func(uint64) uint64) iter.Seq[uint64] { return ring(0, b.static, random) }

// ring goes once through the numbers from … to-1, starting at a random one: what was freed a moment ago is not handed
// to the next in line.
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

// shortestIPv6 bounds an IPv6 range, as upstream does: what is larger cannot be counted in 64 bits.
const shortestIPv6 = 64

var errTooLarge = errors.New("an IPv6 range must be a /64 or smaller")

// Range is the addresses of a CIDR that can be ClusterIPs: all but the network's own and, for IPv4, the broadcast
// address.
type Range struct {
	prefix netip.Prefix
	bands
}

// NewRange fails for an IPv6 prefix shorter than /64. Bits after the prefix are ignored.
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
	size := last // but for one, which matters to no band
	if size < math.MaxUint64 {
		size++
	}
	usable := last
	if prefix.Addr().Is4() && usable > 0 {
		usable--
	}
	return Range{prefix: prefix, bands: bands{count: usable, static: min(usable, staticBand(size, 16, 256))}}, nil
}

// First is the lowest address of the range, which the Service kubernetes has. It is the network's own if the range is
// empty.
func (r Range) First() netip.Addr { return r.at(0) }

func (r Range) family() corev1.IPFamily { return FamilyOf(r.prefix.Addr()) }

// at is the n-th usable address.
func (r Range) at(n uint64) netip.Addr {
	if r.count == 0 {
		return r.prefix.Addr()
	}
	sum := new(big.Int).SetBytes(r.prefix.Addr().AsSlice())
	sum.Add(sum, new(big.Int).SetUint64(n)).Add(sum, big.NewInt(1))
	addr, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, r.prefix.Addr().BitLen()/8)))
	return addr
}

// contains says whether addr is a usable address of the range.
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

// PortRange is the node ports that may be allocated, both ends included; 1 <= First <= Last <= 65535.
type PortRange struct{ First, Last int32 }

// DefaultNodePorts is upstream's default range.
func DefaultNodePorts() PortRange { return PortRange{First: 30000, Last: 32767} }

func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

func (r PortRange) contains(port int32) bool { return r.First <= port && port <= r.Last }

func (r PortRange) at(n uint64) int32 { return r.First + int32(n) }

func (r PortRange) bands() bands {
	count := uint64(r.Last - r.First + 1)
	return bands{count: count, static: staticBand(count, 32, 128)}
}
