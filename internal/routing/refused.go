package routing

import (
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

// A Refused is an endpoint that gets no connections, although the API accepted it. Without this check, a user with
// write access to EndpointSlices could connect, through any node, to servers that are open only to the node itself
// (CVE-2021-25740 and similar attacks).
type Refused struct {
	Address string // as written in the slice
	Rule    string // the rule that the address breaks, for example "must not be a loopback address"
}

// RefusedOf lists the refused endpoints of svc, sorted and distinct. It does not check that an address has the family
// of its slice, because the API refuses such an address.
func RefusedOf(node Node, svc *v1.Service, from []*discovery.EndpointSlice) (list []Refused) {
	r := rulesFor(node, svc)
	for _, slice := range Effective(from) {
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			if len(e.Addresses) == 0 || slice.AddressType == discovery.AddressTypeFQDN {
				continue
			}
			addr, ok := parseAddr(e.Addresses[0])
			if rule := r.broken(addr, e); !ok || rule != "" {
				if !ok {
					rule = "must be an IP address without a zone"
				}
				list = append(list, Refused{e.Addresses[0], rule})
			}
		}
	}
	slices.SortFunc(list, func(a, b Refused) int {
		return slices.Compare([]string{a.Address, a.Rule}, []string{b.Address, b.Rule})
	})
	return slices.Compact(list)
}

// rules are the rules for the endpoints of one Service.
type rules struct {
	loopback bool         // loopback addresses are allowed: the Service has one itself, so its traffic stays on this host
	own      []netip.Addr // the node's addresses, which are allowed only for Pods; empty: no limit
}

func rulesFor(node Node, svc *v1.Service) rules {
	r := rules{loopback: slices.ContainsFunc(clusterIPs(svc), netip.Addr.IsLoopback)}
	if svc.Namespace != v1.NamespaceDefault && svc.Namespace != "kube-system" {
		r.own = node.Addrs
	}
	return r
}

// broken is the rule that the endpoint breaks, or empty.
func (r rules) broken(a netip.Addr, e *discovery.Endpoint) string {
	switch {
	case a.IsUnspecified():
		return "must not be the unspecified address"
	case a.IsLoopback() && !r.loopback:
		return "must not be a loopback address"
	case a.IsMulticast():
		return "must not be a multicast address"
	case a.IsLinkLocalUnicast():
		return "must not be a link-local address"
	case slices.Contains(r.own, a) && (e.TargetRef == nil || e.TargetRef.Kind != "Pod"):
		return "must not be the node's own address, unless a Pod is there (targetRef), or the Service is in the namespace " +
			"default or kube-system"
	}
	return ""
}
