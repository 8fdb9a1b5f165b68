package narrate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// maxNamed is the number of addresses that one line names. The rest is a number.
const maxNamed = 4

// Endpoints describes how the ready addresses of a Service changed. before is nil if the object is new, after if it is
// deleted.
func Endpoints(before, after *v1.Endpoints) string {
	switch {
	case before == nil && after == nil:
		return ""
	case after == nil:
		return fmt.Sprintf("endpoints %s deleted", title(before))
	}
	was, is := readyIn(before), readyIn(after)
	diff := slices.Concat(list("+", minus(is, was)), list("-", minus(was, is)))
	if len(diff) == 0 {
		return ""
	}
	return fmt.Sprintf("endpoints %s: %d -> %d ready (%s)", title(after), len(was), len(is), strings.Join(diff, ", "))
}

// An endpoint is one ready address and port.
type endpoint struct {
	addr netip.AddrPort
	pod  string // empty: the address belongs to no Pod
}

// readyIn returns the ready endpoints, sorted, each once.
func readyIn(ep *v1.Endpoints) []endpoint {
	var all []endpoint
	if ep == nil {
		return nil
	}
	for _, subset := range ep.Subsets {
		for _, a := range subset.Addresses {
			all = append(all, expand(a, subset.Ports)...)
		}
	}
	slices.SortFunc(all, func(a, b endpoint) int { return cmp.Or(a.addr.Compare(b.addr), strings.Compare(a.pod, b.pod)) })
	return slices.Compact(all)
}

// expand gives an address with each port. Without ports (a headless Service may have none) it gives the address with
// port 0. Text that is no address is left out: the API server refuses it.
func expand(a v1.EndpointAddress, ports []v1.EndpointPort) []endpoint {
	ip, err := netip.ParseAddr(a.IP)
	if err != nil {
		return nil
	}
	pod := ""
	if a.TargetRef != nil && a.TargetRef.Kind == "Pod" {
		pod = a.TargetRef.Name
	}
	if len(ports) == 0 {
		return []endpoint{{addr: netip.AddrPortFrom(ip, 0), pod: pod}}
	}
	all := make([]endpoint, 0, len(ports))
	for _, p := range ports {
		all = append(all, endpoint{addr: netip.AddrPortFrom(ip, uint16(p.Port)), pod: pod})
	}
	return all
}

// minus gives the endpoints of a that are not in b.
func minus(a, b []endpoint) []endpoint {
	return slices.DeleteFunc(slices.Clone(a), func(e endpoint) bool { return slices.Contains(b, e) })
}

func list(sign string, all []endpoint) []string {
	var words []string
	for i, e := range all {
		if i == maxNamed {
			return append(words, fmt.Sprintf("%s%d more", sign, len(all)-maxNamed))
		}
		words = append(words, sign+e.String())
	}
	return words
}

func (e endpoint) String() string {
	s := e.addr.String()
	if e.addr.Port() == 0 {
		s = e.addr.Addr().String()
	}
	if e.pod != "" {
		s += " " + e.pod
	}
	return s
}
