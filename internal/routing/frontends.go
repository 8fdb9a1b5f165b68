package routing

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

// affinityDefault is the timeout of ClientIP affinity when the Service sets none: three hours, the default of the API.
const affinityDefault = 3 * time.Hour

// Frontends computes what node does with the traffic of one Service. The result is complete and comparable; it is
// sorted by Key and distinct in Dest. from are the Service's EndpointSlices (the slices with its name in the label), in
// any order. A headless or ExternalName Service has no Frontends. Frontends keeps and changes none of its arguments.
func Frontends(node Node, svc *v1.Service, from []*discovery.EndpointSlice) []Frontend {
	var out []Frontend
	from = Effective(from)
	ips := clusterIPs(svc)
	policy, slowStart := balancing(svc)
	for i := range svc.Spec.Ports {
		port := svc.Spec.Ports[i]
		if protoOf(port.Protocol) == 0 || port.Port < 1 || port.Port > 65535 {
			continue
		}
		for _, v6 := range families(ips) {
			s := portSpec{node: node, svc: svc, port: port, v6: v6, clusterIPs: ips, policy: policy, slowStart: slowStart}
			s.endpoints = endpointsOf(node, rulesFor(node, svc), port, v6, from)
			if slowStart == 0 { // the times have no effect, and must not make equal Services compare unequal
				forgetTimes(s.endpoints)
			}
			s.pools = poolsOf(node, s.endpoints)
			out = append(out, s.frontends()...)
		}
	}
	slices.SortFunc(out, func(a, b Frontend) int { return a.Key.Compare(b.Key) })
	return distinct(out)
}

// clusterIPs are the valid cluster IPs of a Service. A headless or ExternalName Service has none.
func clusterIPs(svc *v1.Service) []netip.Addr {
	if svc.Spec.Type == v1.ServiceTypeExternalName {
		return nil
	}
	list := svc.Spec.ClusterIPs
	if len(list) == 0 {
		list = []string{svc.Spec.ClusterIP}
	}
	return parseAddrs(list)
}

func parseAddrs(list []string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		if a, ok := parseAddr(s); ok {
			out = append(out, a)
		}
	}
	return out
}

// families lists the address families of a Service: the families of its cluster IPs. true stands for IPv6.
func families(ips []netip.Addr) []bool {
	var out []bool
	for _, v6 := range []bool{false, true} {
		if slices.ContainsFunc(ips, func(a netip.Addr) bool { return a.Is6() == v6 }) {
			out = append(out, v6)
		}
	}
	return out
}

// distinct drops the later of two Frontends with the same Dest. An address can be both an external IP of the Service
// and an address of its load balancer. The input is sorted, so the earlier Kind stays.
func distinct(sorted []Frontend) []Frontend {
	seen := make(map[Dest]bool, len(sorted))
	return slices.DeleteFunc(sorted, func(f Frontend) bool {
		twice := seen[f.Dest()]
		seen[f.Dest()] = true
		return twice
	})
}

// portSpec is one port of a Service in one address family.
type portSpec struct {
	node       Node
	svc        *v1.Service
	port       v1.ServicePort
	v6         bool
	clusterIPs []netip.Addr
	policy     Policy
	slowStart  time.Duration
	endpoints  []endpoint
	pools      pools
}

func forgetTimes(all []endpoint) {
	for i := range all {
		all[i].readySince = 0
	}
}

func (s portSpec) frontends() []Frontend {
	var out []Frontend
	add := func(kind Kind, port int32, addrs []netip.Addr) {
		for _, a := range addrs {
			if a.Is6() == s.v6 && port >= 1 && port <= 65535 {
				out = append(out, s.frontend(kind, a, uint16(port)))
			}
		}
	}
	add(ClusterIP, s.port.Port, s.clusterIPs)
	add(ExternalIP, s.port.Port, parseAddrs(s.svc.Spec.ExternalIPs))
	add(LoadBalancer, s.port.Port, virtualIPs(s.svc))
	add(NodePort, s.port.NodePort, s.node.NodePorts)
	return out
}

func (s portSpec) frontend(kind Kind, addr netip.Addr, port uint16) Frontend {
	f := Frontend{
		Key:       Key{Kind: kind, Addr: addr, Port: port, Proto: protoOf(s.port.Protocol)},
		Service:   Name{s.svc.Namespace, s.svc.Name, s.port.Name},
		Affinity:  affinity(s.svc),
		Policy:    s.policy,
		SlowStart: s.slowStart,
	}
	f.Inside, f.Outside = s.choose(kind)
	f.Serving = stillServing(s.endpoints, f)
	if kind == LoadBalancer {
		f.Allow = allow(s.node, addr, s.svc.Spec.LoadBalancerSourceRanges)
	}
	return f
}

// stillServing lists the endpoints that serve, but are in no pool of f.
func stillServing(all []endpoint, f Frontend) (list []netip.AddrPort) {
	for _, e := range all {
		if (e.ready || e.serving) && !f.Serves(e.addr) { // this includes drained endpoints
			list = append(list, e.addr)
		}
	}
	return list
}

// choose returns the two pools of a kind. A cluster IP follows internalTrafficPolicy, for all connections. The other
// kinds follow externalTrafficPolicy for connections from outside. For connections from this node, they use the whole
// cluster: policy Local keeps the client address of connections that enter the cluster, and a connection from this node
// does not enter it.
func (s portSpec) choose(kind Kind) (inside, outside Pool) {
	if kind == ClusterIP {
		inside = s.pools.pick(valueOr(s.svc.Spec.InternalTrafficPolicy, "") == v1.ServiceInternalTrafficPolicyLocal)
		outside = inside
		outside.SNAT = true
		return inside, outside
	}
	local := s.svc.Spec.ExternalTrafficPolicy == v1.ServiceExternalTrafficPolicyLocal
	inside, outside = s.pools.cluster, s.pools.pick(local)
	outside.SNAT = !local
	return inside, outside
}

// virtualIPs are the addresses of the load balancer (status.loadBalancer.ingress) whose packets arrive unchanged. An
// address with ipMode Proxy belongs to another machine, which connects to node ports.
func virtualIPs(svc *v1.Service) []netip.Addr {
	if svc.Spec.Type != v1.ServiceTypeLoadBalancer {
		return nil
	}
	var out []netip.Addr
	for _, in := range svc.Status.LoadBalancer.Ingress {
		if a, ok := parseAddr(in.IP); ok && valueOr(in.IPMode, v1.LoadBalancerIPModeVIP) == v1.LoadBalancerIPModeVIP {
			out = append(out, a)
		}
	}
	return out
}

func affinity(svc *v1.Service) time.Duration {
	if svc.Spec.SessionAffinity != v1.ServiceAffinityClientIP {
		return 0
	}
	if c := svc.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && valueOr(c.ClientIP.TimeoutSeconds, 0) > 0 {
		return time.Duration(*c.ClientIP.TimeoutSeconds) * time.Second
	}
	return affinityDefault
}

// allow lists the source ranges of vip's family. A range /0, or no range of this family, allows all clients. If an
// address of the node is inside a range, vip is allowed too: a connection from the node to vip has vip as its source.
func allow(node Node, vip netip.Addr, ranges []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range ranges {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil || p.Addr().Is6() != vip.Is6() {
			continue
		}
		if p.Bits() == 0 {
			return nil
		}
		out = append(out, p.Masked())
	}
	if slices.ContainsFunc(out, func(p netip.Prefix) bool { return slices.ContainsFunc(node.Addrs, p.Contains) }) {
		out = append(out, netip.PrefixFrom(vip, vip.BitLen()))
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}
