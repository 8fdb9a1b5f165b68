package membership

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

// overload is the limit for the number of endpoints of a zone, as a multiple of the zone's share: 20 % more, as in
// upstream (KEP-2433).
const overload = 1.2

// A HintsChange records that a Service got hints, or lost them. It is only used for hints in proportion to the CPU of
// the zones.
type HintsChange struct {
	Type    discovery.AddressType
	Enabled bool
	Why     string // in words; "" if Enabled
}

// AddHints sets the zone and node hints of the ready members of svc. With spec.trafficDistribution, an endpoint is
// hinted to its own zone or node (KEP-3015). With the older annotation, every zone gets endpoints in proportion to its
// CPU (KEP-2433); as few hints as possible then change from those in have, the slices of svc. Members that are not
// ready get no hint, and neither do the members of a Service that asks for none.
func AddHints(svc *v1.Service, members []Member, topology *Topology, have []*discovery.EndpointSlice) []HintsChange {
	if !Proportional(svc) {
		closeBy(svc, members)
		return nil
	}
	var changes []HintsChange
	before := hintsIn(have)
	for _, family := range Families(svc) {
		t := addressType(family)
		ready := readyOf(members, family)
		why := spread(ready, topology, before)
		if why != "" {
			for _, m := range ready {
				m.HintZone = ""
			}
		}
		if had := before.types[t]; had != (why == "") && (len(ready) > 0 || had) {
			changes = append(changes, HintsChange{Type: t, Enabled: why == "", Why: why})
		}
	}
	return changes
}

// Proportional says whether an annotation asks for hints by CPU. The annotation takes precedence over
// spec.trafficDistribution. If both annotations are set, the deprecated one counts.
func Proportional(svc *v1.Service) bool {
	mode, ok := svc.Annotations[v1.DeprecatedAnnotationTopologyAwareHints]
	if !ok {
		mode = svc.Annotations[v1.AnnotationTopologyMode]
	}
	return mode == "Auto" || mode == "auto"
}

func closeBy(svc *v1.Service, members []Member) {
	if svc.Spec.TrafficDistribution == nil {
		return
	}
	zone, node := false, false
	switch *svc.Spec.TrafficDistribution {
	case v1.ServiceTrafficDistributionPreferClose, v1.ServiceTrafficDistributionPreferSameZone:
		zone = true
	case v1.ServiceTrafficDistributionPreferSameNode:
		zone, node = true, true
	}
	for i := range members {
		m := &members[i]
		if m.Ready && zone {
			m.HintZone = m.Zone
		}
		if m.Ready && node {
			m.HintNode = m.Node
		}
	}
}

// hinted holds the hints in the existing slices.
type hinted struct {
	zones map[endpointKey]string
	types map[discovery.AddressType]bool // address types with any hint
}

func hintsIn(have []*discovery.EndpointSlice) hinted {
	h := hinted{map[endpointKey]string{}, map[discovery.AddressType]bool{}}
	for _, s := range have {
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			if e.Hints != nil && len(e.Hints.ForZones) > 0 {
				h.zones[keyOf(e)] = e.Hints.ForZones[0].Name
				h.types[s.AddressType] = true
			}
		}
	}
	return h
}

func readyOf(members []Member, family v1.IPFamily) []*Member {
	var ready []*Member
	for i := range members {
		if m := &members[i]; m.Ready && familyOf(m.Addr) == family {
			ready = append(ready, m)
		}
	}
	return ready
}

// spread hints each of ready to one zone, so that every zone has about its share. why says why this is not possible.
func spread(ready []*Member, topology *Topology, before hinted) (why string) {
	shares, why := topology.shares()
	if why != "" {
		return why
	}
	if len(ready) < len(shares) {
		return fmt.Sprintf("there are fewer ready endpoints than zones: %d and %d", len(ready), len(shares))
	}
	if least(shares, len(ready)) > len(ready) {
		return fmt.Sprintf("%d ready endpoints cannot be shared out without more than %.0f %% too many for some zone",
			len(ready), 100*(overload-1))
	}
	for _, m := range ready {
		if m.Zone == "" {
			return "a ready endpoint is in no zone"
		}
		m.HintZone = m.Zone
		if zone := before.zones[endpointKey{m.Addr.String(), m.Target.Name}]; shares[zone] > 0 {
			m.HintZone = zone
		}
	}
	even(ready, shares)
	return ""
}

// least returns the number of endpoints that are needed so that no zone gets more than its share times overload.
func least(shares map[string]float64, n int) int {
	sum := 0
	for _, share := range shares {
		sum += int(math.Ceil(share * float64(n) / overload))
	}
	return sum
}

// even moves hints one at a time, from the zone with the largest surplus to the zone with the largest deficit. It stops
// when surplus and deficit are both below 1, or when one of them is below 0.5.
func even(ready []*Member, shares map[string]float64) {
	surplus := map[string]float64{}
	for zone, share := range shares {
		surplus[zone] = -share * float64(len(ready))
	}
	for _, m := range ready {
		surplus[m.HintZone]++
	}
	zones := slices.Sorted(maps.Keys(surplus))
	for range ready {
		bySurplus := func(a, b string) int { return cmp.Compare(surplus[a], surplus[b]) }
		giver, taker := slices.MaxFunc(zones, bySurplus), slices.MinFunc(zones, bySurplus)
		if give, take := surplus[giver], -surplus[taker]; max(give, take) < 1 || min(give, take) < 0.5 {
			return
		}
		choose(ready, giver, taker).HintZone = taker
		surplus[giver]--
		surplus[taker]++
	}
}

// choose returns one of the members hinted to giver: first a member in zone taker, then a member that is not in giver,
// then any.
func choose(ready []*Member, giver, taker string) *Member {
	return slices.MinFunc(ready, func(a, b *Member) int {
		return cmp.Compare(reluctance(a, giver, taker), reluctance(b, giver, taker))
	})
}

func reluctance(m *Member, giver, taker string) int {
	switch {
	case m.HintZone != giver:
		return 3
	case m.Zone == taker:
		return 0
	case m.Zone != giver:
		return 1
	}
	return 2
}
