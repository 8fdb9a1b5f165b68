package proxy

import (
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/routing"
)

// NodeOf returns what a Proxy needs to know about its Node: its name, its addresses with those for node ports, and the
// prefixes of its Pods.
func NodeOf(obj *v1.Node, ports NodePorts) (n routing.Node, pods []netip.Prefix) {
	n.Name, n.Zone = obj.Name, obj.Labels[v1.LabelTopologyZone]
	var internal []netip.Addr
	for _, a := range obj.Status.Addresses {
		ip, err := netip.ParseAddr(a.Address)
		if err != nil || a.Type == v1.NodeHostName {
			continue
		}
		n.Addrs = append(n.Addrs, ip.Unmap())
		if a.Type == v1.NodeInternalIP {
			internal = append(internal, ip.Unmap())
		}
	}
	n.NodePorts = ports.addrs(internal)
	for _, text := range obj.Spec.PodCIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			pods = append(pods, p.Masked())
		}
	}
	return n, pods
}

// Outside reports whether from is an address of neither the node nor one of its Pods. An invalid address and a loopback
// address count as the node's.
func Outside(from netip.Addr, node routing.Node, pods []netip.Prefix) bool {
	from = from.Unmap()
	return from.IsValid() && !from.IsLoopback() && !slices.Contains(node.Addrs, from) &&
		!slices.ContainsFunc(pods, func(r netip.Prefix) bool { return r.Contains(from) })
}
