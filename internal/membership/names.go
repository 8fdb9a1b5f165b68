package membership

import (
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A Named is one address that a name stands for. Port 0 is the target port of each of the Service's ports.
type Named struct {
	Addr netip.Addr
	Port uint16
}

// Unfit is the rule that an address breaks that a name stands for, "" if none: whoever answers for a name could else
// lead connections to what only this host is to reach. Of a Service whose own address is a loopback address all stays
// on this host, so its backends may be such, too.
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

// OfNames are the Members of svc at the addresses that names stand for: those of the families that svc has
// and that are not Unfit, sorted, each once. A port that
// comes with the address is that of every port of the Service.
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

// portsAt are the ports of svc at an address that brings the port number, or, if that is 0, none.
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
			continue // only a Pod knows what that is
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
