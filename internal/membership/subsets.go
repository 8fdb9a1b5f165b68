package membership

import (
	"cmp"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
)

// MaxAddresses is the maximum number of addresses in one Endpoints object.
const MaxAddresses = 1000

// Subsets writes members as the subsets of an Endpoints object, in a fixed order. Endpoints are older than
// EndpointSlices and hold less: only the primary family, no terminating member unless it is ready, no member without a
// port (unless the Service is headless and has no ports), and at most MaxAddresses addresses. truncated says whether
// addresses over this limit were left out.
func Subsets(svc *v1.Service, members []Member) (subsets []v1.EndpointSubset, truncated bool) {
	family := Families(svc)[0]
	portless := len(svc.Spec.Ports) == 0 && IsHeadless(svc)
	listed := make([]*Member, 0, len(members))
	for i := range members {
		m := &members[i]
		if familyOf(m.Addr) != family || m.Terminating && !m.Ready {
			continue
		}
		if len(m.Ports) > 0 || portless {
			listed = append(listed, m)
		}
	}
	return truncate(pack(listed))
}

// IsHeadless says whether svc has no ClusterIP: its name in DNS resolves to the addresses of its endpoints.
func IsHeadless(svc *v1.Service) bool {
	return svc.Spec.ClusterIP == "" || svc.Spec.ClusterIP == v1.ClusterIPNone
}

// Canonical rewrites subsets into the form that Subsets returns, so that two ways to write the same endpoints compare
// equal.
func Canonical(subsets []v1.EndpointSubset) []v1.EndpointSubset {
	members := membersOf(subsets)
	listed := make([]*Member, len(members))
	for i := range members {
		listed[i] = &members[i]
	}
	return pack(listed)
}

// pack groups members so that every port is in exactly one subset, with all the addresses that offer it. members must
// be sorted.
func pack(members []*Member) []v1.EndpointSubset {
	if len(members) == 0 {
		return nil
	}
	if ports := members[0].Ports; !slices.ContainsFunc(members, func(m *Member) bool {
		return !slices.Equal(m.Ports,
			ports)
	}) {
		return []v1.EndpointSubset{subset(members, ports)} // the common case
	}
	offering := map[Port][]int{} // port → indices of members, ascending
	var without []*Member
	for i, m := range members {
		for _, p := range m.Ports {
			offering[p] = append(offering[p], i)
		}
		if len(m.Ports) == 0 {
			without = append(without, m)
		}
	}
	groups := map[string][]Port{}  // indices as a map key → the ports that exactly these members offer
	for p, who := range offering { // unordered: the groups are sorted below
		groups[spell(who)] = append(groups[spell(who)], p)
	}
	var subsets []v1.EndpointSubset
	for _, ports := range groups { // unordered: each group is sorted
		slices.SortFunc(ports, comparePorts)
	}
	for _, ports := range slices.SortedFunc(maps.Values(groups), func(a, b []Port) int {
		return slices.CompareFunc(a, b,
			comparePorts)
	}) {
		var who []*Member
		for _, i := range offering[ports[0]] {
			who = append(who, members[i])
		}
		subsets = append(subsets, subset(who, ports))
	}
	if len(without) > 0 {
		subsets = append(subsets, subset(without, nil))
	}
	return subsets
}

// spell makes a map key from a list of indices.
func spell(indices []int) string {
	b := make([]byte, 0, 4*len(indices))
	for _, i := range indices {
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
	}
	return string(b)
}

func subset(members []*Member, ports []Port) v1.EndpointSubset {
	var s v1.EndpointSubset
	for _, p := range ports {
		s.Ports = append(s.Ports, v1.EndpointPort{Name: p.Name, Port: p.Number, Protocol: p.Protocol,
			AppProtocol: optional(p.AppProtocol)})
	}
	addresses := make([]v1.EndpointAddress, 0, len(members))
	for _, ready := range []bool{true, false} {
		from := len(addresses)
		for _, m := range members {
			if m.Ready == ready {
				addresses = append(addresses, addressOf(m))
			}
		}
		switch part := addresses[from:len(addresses):len(addresses)]; {
		case len(part) == 0:
		case ready:
			s.Addresses = part
		default:
			s.NotReadyAddresses = part
		}
	}
	return s
}

func addressOf(m *Member) v1.EndpointAddress {
	a := v1.EndpointAddress{IP: m.Addr.String(), Hostname: m.Hostname, NodeName: unlessEmpty(&m.Node)}
	if m.Target != (v1.ObjectReference{}) {
		a.TargetRef = &m.Target
	}
	return a
}

// unlessEmpty returns s, or nil for "". The API refuses "" in the fields for which unlessEmpty is used.
func unlessEmpty(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}

func optional(s string) *string { return unlessEmpty(&s) }

// truncate keeps MaxAddresses addresses: each subset keeps its share, and ready addresses come first. A subset without
// addresses is removed, because the API would refuse the whole object for it.
func truncate(subsets []v1.EndpointSubset) ([]v1.EndpointSubset, bool) {
	var ready, notReady int
	for _, s := range subsets {
		ready += len(s.Addresses)
		notReady += len(s.NotReadyAddresses)
	}
	if ready+notReady <= MaxAddresses {
		return subsets, false
	}
	roomReady := min(ready, MaxAddresses)
	roomNotReady := MaxAddresses - roomReady
	leftReady, leftNotReady := roomReady, roomNotReady
	for i := range subsets {
		s := &subsets[i]
		s.Addresses = share(s.Addresses, ready, roomReady, &leftReady)
		s.NotReadyAddresses = share(s.NotReadyAddresses, notReady, roomNotReady, &leftNotReady)
	}
	return slices.DeleteFunc(subsets,
		func(s v1.EndpointSubset) bool { return len(s.Addresses)+len(s.NotReadyAddresses) == 0 }), true
}

// share cuts addresses to their share of room, rounded up, and to at most left.
func share(addresses []v1.EndpointAddress, total, room int, left *int) []v1.EndpointAddress {
	if total == 0 {
		return addresses
	}
	keep := min((len(addresses)*room+total-1)/total, len(addresses), *left)
	*left -= keep
	if keep == 0 {
		return nil
	}
	return addresses[:keep]
}

// OfEndpoints returns the Members that a person wrote into subsets, sorted. Strings that are no IP address are left
// out. An address that is listed as ready and as not ready for the same port is not ready.
func OfEndpoints(subsets []v1.EndpointSubset) []Member { return membersOf(subsets) }

func membersOf(subsets []v1.EndpointSubset) []Member {
	found := map[identity]map[readyPort]bool{}
	first := map[identity]Member{}
	for _, s := range subsets {
		collect(found, first, s, s.Addresses, true)
		collect(found, first, s, s.NotReadyAddresses, false)
	}
	var members []Member
	for id, ports := range found {
		members = append(members, split(first[id], ports)...)
	}
	sortMembers(members)
	return members
}

// identity decides whether two addresses of an Endpoints object are the same.
type identity struct {
	addr netip.Addr
	uid  string
}

// readyPort is one port of an address. portless marks an address in a subset without ports.
type readyPort struct {
	Port
	portless bool
}

func collect(found map[identity]map[readyPort]bool, first map[identity]Member, s v1.EndpointSubset,
	addresses []v1.EndpointAddress, ready bool) {
	for _, a := range addresses {
		addr, err := netip.ParseAddr(a.IP)
		if err != nil {
			continue
		}
		m := Member{Addr: addr.Unmap(), Hostname: a.Hostname}
		if a.NodeName != nil {
			m.Node = *a.NodeName
		}
		if a.TargetRef != nil {
			m.Target = *a.TargetRef
			m.Target.ResourceVersion = ""
		}
		id := identity{m.Addr, string(m.Target.UID)}
		if found[id] == nil {
			found[id], first[id] = map[readyPort]bool{}, m
		}
		for _, p := range portsOf(s) {
			was, known := found[id][p]
			found[id][p] = ready && (was || !known)
		}
	}
}

func portsOf(s v1.EndpointSubset) []readyPort {
	if len(s.Ports) == 0 {
		return []readyPort{{portless: true}}
	}
	var ports []readyPort
	for _, p := range s.Ports {
		port := Port{Name: p.Name, Number: p.Port, Protocol: protocolOf(p.Protocol)}
		if p.AppProtocol != nil {
			port.AppProtocol = *p.AppProtocol
		}
		ports = append(ports, readyPort{Port: port})
	}
	return ports
}

// split makes up to three Members from one address: one for the ports on which it is ready, one for the ports on which
// it is not, and one without ports.
func split(m Member, ports map[readyPort]bool) []Member {
	var members []Member
	for _, ready := range []bool{true, false} {
		one := m
		one.Ports = nil
		one.Ready, one.Serving, one.Why = ready, ready, ByHandNotReady
		if ready {
			one.Why = ByHand
		}
		for _, p := range slices.SortedFunc(maps.Keys(ports), func(a, b readyPort) int {
			return cmp.Or(comparePorts(a.Port, b.Port), cmp.Compare(btoi(a.portless), btoi(b.portless)))
		}) {
			switch {
			case ports[p] != ready:
			case p.portless:
				members = append(members, one)
				members[len(members)-1].Ports = nil
			default:
				one.Ports = append(one.Ports, p.Port)
			}
		}
		if len(one.Ports) > 0 {
			members = append(members, one)
		}
	}
	return members
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
