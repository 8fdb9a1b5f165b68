package allocation

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// snapshot is what the store said at about one moment.
type snapshot struct {
	services  []*corev1.Service
	addresses map[netip.Addr]*record
	ports     map[int32]*record
	ranges    []Range // of all ServiceCIDRs, those included that are ending
	nodePorts PortRange
}

// cure is what can be done about a finding.
type cure int

const (
	report  cure = iota // nothing but to tell people
	claim               // make the record that is missing
	replace             // put the right record in the place of a wrong one
	remove              // remove a record that nobody needs
)

// finding is one thing that is wrong with the record of a key. Its reason is that of upstream's event.
type finding[K comparable] struct {
	key     K
	reason  string
	cure    cure
	service Owner   // which the finding is about: whose record is missing, or whose record should not be
	version version // of the record that is wrong; empty if there is none
}

// The reasons. Those of addresses and of ports are upstream's; a leaked port has none there.
const (
	addressNotAllocated     = "ClusterIPNotAllocated"
	addressAlreadyAllocated = "ClusterIPAlreadyAllocated"
	addressOutOfRange       = "ClusterIPOutOfRange"
	addressNotValid         = "ClusterIPNotValid"
	addressLeaked           = "IPAddressNotAllocated"
	addressMisplaced        = "IPAddressWrongReference"
	portNotAllocated        = "PortNotAllocated"
	portAlreadyAllocated    = "PortAlreadyAllocated"
	portOutOfRange          = "PortOutOfRange"
	portLeaked              = "PortLeaked"
)

// reasons are the words for one sort of records.
type reasons struct{ missing, duplicate, outOfRange, leaked, misplaced string }

// examineAddresses compares the records of addresses with the Services. Findings are sorted by address.
func examineAddresses(s snapshot) []finding[netip.Addr] {
	e := examination[netip.Addr]{
		holders: map[netip.Addr][]Owner{}, records: s.addresses, exists: sets.New[string](),
		allowed: func(addr netip.Addr) bool { return within(s.ranges, addr) },
		reasons: reasons{addressNotAllocated, addressAlreadyAllocated, addressOutOfRange, addressLeaked, addressMisplaced},
	}
	e.read(s.services, func(h holding) sets.Set[netip.Addr] { return h.addrs })
	return e.findings(netip.Addr.Compare)
}

// examinePorts compares the records of ports with the Services. Findings are sorted by port.
func examinePorts(s snapshot) []finding[int32] {
	e := examination[int32]{
		holders: map[int32][]Owner{}, records: s.ports, exists: sets.New[string](), allowed: s.nodePorts.contains,
		reasons: reasons{portNotAllocated, portAlreadyAllocated, portOutOfRange, portLeaked, portLeaked},
	}
	e.read(s.services, func(h holding) sets.Set[int32] { return h.ports })
	return e.findings(cmp.Compare[int32])
}

// notValid lists the cluster addresses that are none, by Service.
func notValid(services []*corev1.Service) map[Owner][]string {
	found := map[Owner][]string{}
	for _, svc := range services {
		if !hasAddresses(&svc.Spec) {
			continue
		}
		for _, s := range clusterIPs(&svc.Spec) {
			if _, err := netip.ParseAddr(s); err != nil {
				found[OwnerOf(svc)] = append(found[OwnerOf(svc)], s)
			}
		}
	}
	return found
}

// examination compares who holds what with what is recorded.
type examination[K comparable] struct {
	holders map[K][]Owner // the oldest Service first: where two hold one thing, it is in the right
	records map[K]*record
	exists  sets.Set[string] // the names of all Services
	allowed func(K) bool
	reasons reasons
}

func (e *examination[K]) read(services []*corev1.Service, part func(holding) sets.Set[K]) {
	oldest := slices.SortedFunc(slices.Values(services), func(a, b *corev1.Service) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(OwnerOf(a).String(),
			OwnerOf(b).String()))
	})
	for _, svc := range oldest {
		owner := OwnerOf(svc)
		e.exists.Insert(owner.String())
		for key := range part(held(svc)) {
			e.holders[key] = append(e.holders[key], owner)
		}
	}
}

func (e *examination[K]) findings(order func(a, b K) int) []finding[K] {
	var all []finding[K]
	for key, holders := range e.holders {
		all = append(all, e.ofHeld(key, holders)...)
	}
	for key, r := range e.records {
		if len(e.holders[key]) == 0 && !r.unmanaged {
			all = append(all, e.ofUnused(key, r))
		}
	}
	slices.SortStableFunc(all, func(a, b finding[K]) int { return order(a.key, b.key) })
	return all
}

// ofHeld judges a key that Services hold.
func (e *examination[K]) ofHeld(key K, holders []Owner) []finding[K] {
	var found []finding[K]
	if !e.allowed(key) {
		for _, h := range holders {
			found = append(found, finding[K]{key: key, reason: e.reasons.outOfRange, service: h})
		}
		return found
	}
	r := e.records[key]
	right := 0
	if r != nil && !r.foreign {
		right = slices.IndexFunc(holders, r.owner.is)
	}
	switch {
	case r == nil:
		found = append(found, finding[K]{key: key, reason: e.reasons.missing, cure: claim, service: holders[0]})
	case r.foreign, r.unmanaged, right < 0:
		right = max(right, 0)
		found = append(found, finding[K]{key: key, reason: e.reasons.missing, cure: replace, service: holders[right],
			version: r.version})
	}
	for i, h := range holders {
		if i != right {
			found = append(found, finding[K]{key: key, reason: e.reasons.duplicate, service: h})
		}
	}
	return found
}

// ofUnused judges a record of what no Service holds.
func (e *examination[K]) ofUnused(key K, r *record) finding[K] {
	f := finding[K]{key: key, reason: e.reasons.leaked, cure: remove, service: r.owner, version: r.version}
	if !r.foreign && e.exists.Has(r.owner.String()) {
		f.reason = e.reasons.misplaced
	}
	return f
}
