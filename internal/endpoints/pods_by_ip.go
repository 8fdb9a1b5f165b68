package endpoints

import (
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/membership"
)

// podsByIP maps an address to the Pods that have it. An index of the cache would need ten times the memory, because an
// address nearly always belongs to one Pod.
type podsByIP struct {
	one  map[netip.Addr]*v1.Pod
	more map[netip.Addr][]*v1.Pod // further Pods, while an old and a new Pod share an address
}

func newPodsByIP() *podsByIP {
	return &podsByIP{one: map[netip.Addr]*v1.Pod{}, more: map[netip.Addr][]*v1.Pod{}}
}

// change updates the maps with both states of a Pod; nil: the Pod does not exist.
func (b *podsByIP) change(before, after *v1.Pod) {
	for _, addr := range membership.Addresses(before) {
		b.drop(addr, before)
	}
	for _, addr := range membership.Addresses(after) {
		if b.one[addr] == nil {
			b.one[addr] = after
		} else {
			b.more[addr] = append(b.more[addr], after)
		}
	}
}

func (b *podsByIP) drop(addr netip.Addr, pod *v1.Pod) {
	same := func(p *v1.Pod) bool { return p.Name == pod.Name && p.Namespace == pod.Namespace }
	others := slices.DeleteFunc(b.more[addr], same)
	if first := b.one[addr]; first != nil && same(first) {
		delete(b.one, addr)
		if len(others) > 0 {
			b.one[addr], others = others[0], others[1:]
		}
	}
	if b.more[addr] = others; len(others) == 0 {
		delete(b.more, addr)
	}
}

func (b *podsByIP) at(addr netip.Addr) []*v1.Pod {
	if b.one[addr] == nil {
		return nil
	}
	return append([]*v1.Pod{b.one[addr]}, b.more[addr]...)
}
