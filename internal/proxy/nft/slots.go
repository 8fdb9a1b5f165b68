package nft

import (
	"net/netip"
	"slices"

	"viaduct/internal/routing"
)

// arrange gives slots to the backends of a pool: each gets as many as its weight asks for (routing.Slots). A backend
// keeps the slots that it had in had, so that the fewest elements change: one that leaves costs one move into each of
// its slots. want is sorted and distinct, and had need not be; the same arguments give the same slots.
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

// hashed gives each slot of the table of source-hash its backend. Nothing depends on what was before.
func hashed(want []routing.Backend) []netip.AddrPort {
	table := routing.HashTable(want)
	seats := make([]netip.AddrPort, len(table))
	for slot, who := range table {
		seats[slot] = want[who].Addr
	}
	return seats
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
