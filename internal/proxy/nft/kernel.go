package nft

import (
	"net/netip"

	"viaduct/internal/nftables"
	"viaduct/internal/routing"
)

// kernel holds the elements that were read from the kernel, of both families. differs deletes the elements that a
// Service needs, so the remaining ones belong to no Service.
type kernel struct {
	elements map[key]value
	seats    map[placeKey][]netip.AddrPort // the backend of each slot; compile keeps it there
	pods     map[nftables.Family][]netip.Prefix
	rare     map[routing.Dest]map[key]value // see about
}

func newKernel() *kernel {
	return &kernel{elements: map[key]value{}, seats: map[placeKey][]netip.AddrPort{},
		pods: map[nftables.Family][]netip.Prefix{}}
}

type placeKey struct {
	dest    routing.Dest
	outside bool
}

// readElements reads all elements of the family's sets, except those of affinity, which packets write.
func readElements(c *nftables.Conn, f nftables.Family, k *skeleton, have *kernel) error {
	sets := fixed()
	for set := range k.sets {
		sets = append(sets, set)
	}
	for _, set := range sets {
		switch set.kind { // others: they are read below
		case affinity:
			continue
		case pods:
			ranges, err := readRanges(c, f, set)
			if err != nil {
				return err
			}
			have.pods[f] = ranges
			continue
		}
		if err := readSet(c, f, set, have.note); err != nil {
			return err
		}
	}
	return nil
}

func (h *kernel) note(e element) {
	h.elements[e.key] = e.value
	if e.set.kind != backends && e.set.kind != outsideBackends || e.slot > maxSlots {
		return
	}
	at := placeKey{e.dest, e.set.kind == outsideBackends}
	seats := h.seats[at]
	for len(seats) <= int(e.slot) {
		seats = append(seats, netip.AddrPort{})
	}
	seats[e.slot] = e.value.to
	h.seats[at] = seats
}

// places lists the present slots of the frontends.
func (h *kernel) places(frontends []routing.Frontend) (list []place) {
	for i := range frontends {
		d := frontends[i].Dest()
		for _, outside := range []bool{false, true} {
			if seats := h.seats[placeKey{d, outside}]; seats != nil {
				list = append(list, place{d, outside, seats})
			}
		}
	}
	return list
}

// differs lists, in order, the ops that are missing for the elements want, and deletes these elements from h. refs
// counts the Services that use a shared element; only the first one adds the element.
func (h *kernel) differs(want []element, refs map[key]int) (ops []op) {
	for _, e := range want {
		if e.shared() {
			if refs[e.key]++; refs[e.key] > 1 {
				continue
			}
		}
		have, there := h.elements[e.key]
		delete(h.elements, e.key)
		switch {
		case !there:
			ops = append(ops, op{add, e})
		case have != e.value:
			ops = append(ops, op{replace, e})
		}
	}
	inOrder(ops)
	return ops
}

// leftover lists the ops that remove the elements that no Service needs.
func (h *kernel) leftover() (ops []op) {
	for k, v := range h.elements {
		ops = append(ops, op{remove, element{k, v}})
	}
	inOrder(ops)
	return ops
}
