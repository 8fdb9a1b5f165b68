package allocation

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// snapshot is the content of the store at about one moment.
type snapshot struct {
	services  []*corev1.Service
	addresses map[netip.Addr]*record
	ports     map[int32]*record
	ranges    []Range // of all ServiceCIDRs, including those that are being deleted
	nodePorts PortRange
}

// action is what can be done about a finding.
type action int

const (
	report  action = iota // nothing; an administrator must act
	claim                 // create the missing record
	replace               // replace a wrong record
	remove                // remove a record that no Service needs
)

// finding is one wrong or missing record of a key. Its reason is the reason of upstream's event.
type finding[K comparable] struct {
	key     K
	reason  string
	action  action
	service Owner   // whose record is missing, or is wrong
	version version // of the wrong record; empty if there is none
}

// The reasons of events. They are upstream's, which has none for a leaked port.
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

// reasons are the event reasons for one kind of records.
type reasons struct{ missing, duplicate, outOfRange, leaked, misplaced string }

// auditAddresses compares the records of addresses with the Services. Findings are sorted by address.
func auditAddresses(s snapshot) []finding[netip.Addr] {
	e := audit[netip.Addr]{
		holders: map[netip.Addr][]Owner{}, records: s.addresses, exists: sets.New[string](),
		allowed: func(addr netip.Addr) bool { return inAny(s.ranges, addr) },
		reasons: reasons{addressNotAllocated, addressAlreadyAllocated, addressOutOfRange, addressLeaked, addressMisplaced},
	}
	e.read(s.services, func(h holding) sets.Set[netip.Addr] { return h.addrs })
	return e.findings(netip.Addr.Compare)
}

// auditPorts compares the records of ports with the Services. Findings are sorted by port.
func auditPorts(s snapshot) []finding[int32] {
	e := audit[int32]{
		holders: map[int32][]Owner{}, records: s.ports, exists: sets.New[string](), allowed: s.nodePorts.contains,
		reasons: reasons{portNotAllocated, portAlreadyAllocated, portOutOfRange, portLeaked, portLeaked},
	}
	e.read(s.services, func(h holding) sets.Set[int32] { return h.ports })
	return e.findings(cmp.Compare[int32])
}

// notValid lists the cluster IPs that are no addresses, by Service.
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

// audit compares the numbers that Services hold with the records.
type audit[K comparable] struct {
	holders map[K][]Owner // the oldest Service first: if two hold one number, the older one is right
	records map[K]*record
	exists  sets.Set[string] // the namespaced names of all Services
	allowed func(K) bool
	reasons reasons
}

func (e *audit[K]) read(services []*corev1.Service, part func(holding) sets.Set[K]) {
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

func (e *audit[K]) findings(order func(a, b K) int) []finding[K] {
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

// ofHeld returns what is wrong with the record of a key that Services hold.
func (e *audit[K]) ofHeld(key K, holders []Owner) []finding[K] {
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
		found = append(found, finding[K]{key: key, reason: e.reasons.missing, action: claim, service: holders[0]})
	case r.foreign, r.unmanaged, right < 0:
		right = max(right, 0)
		found = append(found, finding[K]{key: key, reason: e.reasons.missing, action: replace, service: holders[right],
			version: r.version})
	}
	for i, h := range holders {
		if i != right {
			found = append(found, finding[K]{key: key, reason: e.reasons.duplicate, service: h})
		}
	}
	return found
}

// ofUnused returns the finding for a record that no Service needs.
func (e *audit[K]) ofUnused(key K, r *record) finding[K] {
	f := finding[K]{key: key, reason: e.reasons.leaked, action: remove, service: r.owner, version: r.version}
	if !r.foreign && e.exists.Has(r.owner.String()) {
		f.reason = e.reasons.misplaced
	}
	return f
}
