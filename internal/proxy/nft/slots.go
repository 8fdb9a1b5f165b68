package nft

import (
	"net/netip"
	"slices"

	"viaduct/internal/routing"
)

// arrange seats the backends of a pool in slots: each in as many as its weight asks for. Whoever sits in had and still
// belongs there stays, so that the fewest elements change: one that leaves costs one move into its seat. want is sorted
// and distinct, and had need not be; the same arguments give the same seats.
func arrange(had []netip.AddrPort, want []routing.Backend) []netip.AddrPort {
	shares, total := shares(want)
	missing := make(map[netip.AddrPort]int, len(want))
	for i, b := range want {
		missing[b.Addr] += shares[i]
	}
	seats := make([]netip.AddrPort, total)
	for i, who := range had[:min(len(had), total)] {
		if missing[who] > 0 {
			seats[i] = who
			missing[who]--
		}
	}
	free := 0
	for _, b := range want {
		for ; missing[b.Addr] > 0; missing[b.Addr]-- {
			for seats[free].IsValid() {
				free++
			}
			seats[free] = b.Addr
		}
	}
	return seats
}

// shares is how many slots each backend gets: its weight, with what all weights have in common divided out, and made
// smaller where the sum is more than a map can hold. A weight of 0 gets none, unless all are 0.
func shares(want []routing.Backend) (list []int, total int) {
	sum, common, least := uint64(0), uint64(0), len(want)
	for _, b := range want {
		sum += uint64(b.Weight)
		common = gcd(common, uint64(b.Weight))
	}
	list = make([]int, len(want))
	for i, b := range want {
		switch {
		case sum == 0:
			list[i] = 1
		case b.Weight == 0:
		case sum/common <= maxSlots:
			list[i] = int(uint64(b.Weight) / common)
		default:
			list[i] = max(1, int(uint64(b.Weight)*uint64(max(maxSlots-least, 1))/sum))
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

// A place is one list of slots: the backends of an address and port, for connections from one side.
type place struct {
	dest    routing.Dest
	outside bool
	seats   []netip.AddrPort
}

// seatsAt finds who sat at a place.
func seatsAt(places []place, d routing.Dest, outside bool) []netip.AddrPort {
	i := slices.IndexFunc(places, func(p place) bool { return p.dest == d && p.outside == outside })
	if i < 0 {
		return nil
	}
	return places[i].seats
}
