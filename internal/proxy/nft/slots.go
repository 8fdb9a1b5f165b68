package nft

import (
	"net/netip"
	"slices"

	"viaduct/internal/routing"
)

// arrange assigns slots to the backends of a pool. Each backend gets the number of slots of its weight (routing.Slots).
// A backend keeps its slots of had, so that few elements change: when a backend leaves, only its slots get another
// backend. want must be sorted and distinct; had may be in any order. The same arguments give the same slots.
func arrange(had []netip.AddrPort, want []routing.Backend) []netip.AddrPort {
	shares, total := routing.Slots(want)
	index := make(map[netip.AddrPort]int, len(want))
	for i, b := range want {
		index[b.Addr] = i
	}
	seats := make([]netip.AddrPort, total)
	for i, who := range had[:min(len(had), total)] {
		if at, stays := index[who]; stays && shares[at] > 0 {
			seats[i] = who
			shares[at]--
		}
	}
	free := 0
	for _, at := range routing.Interleave(shares) {
		for seats[free].IsValid() {
			free++
		}
		seats[free] = want[at].Addr
	}
	return seats
}

// hashed assigns a backend to each slot of the source-hash table. It depends only on want, not on earlier slots.
func hashed(want []routing.Backend) []netip.AddrPort {
	table := routing.HashTable(want)
	seats := make([]netip.AddrPort, len(table))
	for slot, who := range table {
		seats[slot] = want[who].Addr
	}
	return seats
}

// A place is the list of slots of one address and port, for connections from inside or from outside.
type place struct {
	dest    routing.Dest
	outside bool
	seats   []netip.AddrPort
}

// seatsAt finds the slots of an address and port; nil if there are none.
func seatsAt(places []place, d routing.Dest, outside bool) []netip.AddrPort {
	i := slices.IndexFunc(places, func(p place) bool { return p.dest == d && p.outside == outside })
	if i < 0 {
		return nil
	}
	return places[i].seats
}
