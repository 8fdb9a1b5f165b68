package routing

import (
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

// A Refused is an endpoint that no connection is sent to, whatever the API let through: who may write EndpointSlices
// could else reach, by way of every node, what only the node itself is to reach (CVE-2021-25740 and its kin).
type Refused struct {
	Address string // as the slice has it
	Rule    string // what it must not be, or must be
}

// RefusedOf lists the endpoints of svc that are refused, each once, sorted. Addresses of the other family than their
// slice are not among them: the API does not know such.
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

// rules are what an endpoint of one Service must keep to.
type rules struct {
	loopback bool         // the Service is itself a loopback address, and so everything of it stays on this host
	own      []netip.Addr // the node's addresses, which only its Pods may be at; empty: anybody
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
