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

// overload is how much more than its share a zone may get: 20 %, as upstream allows (KEP-2433).
const overload = 1.2

// A HintsChange says that a Service whose hints are given in proportion to the zones' CPU has come to have hints, or to
// have none.
type HintsChange struct {
	Type    discovery.AddressType
	Enabled bool
	Why     string // in words; "" if they are enabled
}

// AddHints says of every ready one of members, which are those of svc, for which zone and node it is meant first. That
// is by spec.trafficDistribution its own (KEP-3015), or, asked for by the older annotation, as many for each zone as it
// has of the CPU (KEP-2433); as few as possible are then meant for another zone than have, the slices of svc, say.
// Members that are not ready, and those of a Service that asks for neither, are for everybody.
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

// Proportional says whether an annotation asks for hints by CPU. It goes before spec.trafficDistribution; of the two,
// the deprecated one goes first.
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

// hinted are the hints that slices give already.
type hinted struct {
	zones map[endpointKey]string
	types map[discovery.AddressType]bool // those with any hint
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

// spread hints each of ready to one zone, so that every zone has about its share. why says what keeps it from that.
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

// least is how many endpoints there must be for no zone to get more than its share and the overload.
func least(shares map[string]float64, n int) int {
	sum := 0
	for _, share := range shares {
		sum += int(math.Ceil(share * float64(n) / overload))
	}
	return sum
}

// even moves hints, one at a time, from the zone that has the most too many to the one that has the most too few, as
// long as either is off by a whole one and both by a half.
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

// choose is one of those hinted to giver: one that is in taker, or at least not in giver, if there is any.
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
