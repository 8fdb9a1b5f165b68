package membership

import (
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A Named is one address that a name resolves to. Port 0 means the target port of each of the Service's ports.
type Named struct {
	Addr netip.Addr
	Port uint16
}

// Unfit returns the rule that the address of a name breaks, "" if none. Without these rules, the owner of a DNS name
// could lead connections to addresses that only this host may reach. The connections of a Service whose own address is
// a loopback address stay on this host, so its backends may be loopback addresses, too.
func Unfit(svc *v1.Service, a netip.Addr) string {
	own, err := netip.ParseAddr(svc.Spec.ClusterIP)
	local := err == nil && own.IsLoopback()
	switch {
	case a.IsUnspecified():
		return "must not be the unspecified address"
	case a.IsLoopback() && !local:
		return "must not be a loopback address"
	case a.IsMulticast():
		return "must not be a multicast address"
	case a.IsLinkLocalUnicast():
		return "must not be a link-local address"
	}
	return ""
}

// OfNames returns the Members of svc at the addresses that names resolve to, sorted and without duplicates. It uses
// only addresses of the families of svc that are not Unfit. A port that comes with an address is used for every port of
// the Service.
func OfNames(svc *v1.Service, addrs []Named) []Member {
	families := Families(svc)
	var members []Member
	for _, a := range addrs {
		if ports := portsAt(svc, a.Port); len(ports) > 0 && Unfit(svc, a.Addr) == "" && slices.Contains(families,
			familyOf(a.Addr)) {
			members = append(members, Member{Addr: a.Addr.Unmap(), Ports: ports, Ready: true, Serving: true, Why: ByName})
		}
	}
	sortMembers(members)
	return slices.CompactFunc(members, func(a, b Member) bool { return compareMembers(&a, &b) == 0 })
}

// portsAt returns the ports of svc at an address. number is the port that comes with the address, 0 if there is none.
func portsAt(svc *v1.Service, number uint16) []Port {
	var ports []Port
	for _, sp := range svc.Spec.Ports {
		p := Port{Name: sp.Name, Number: int32(number), Protocol: protocolOf(sp.Protocol)}
		if sp.AppProtocol != nil {
			p.AppProtocol = *sp.AppProtocol
		}
		switch {
		case number != 0:
		case sp.TargetPort.Type == intstr.String:
			continue // a named target port is only defined by a Pod
		case sp.TargetPort.IntVal != 0:
			p.Number = sp.TargetPort.IntVal
		default:
			p.Number = sp.Port
		}
		ports = append(ports, p)
	}
	slices.SortFunc(ports, comparePorts)
	return slices.Compact(ports)
}
