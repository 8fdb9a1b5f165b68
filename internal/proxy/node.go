package proxy

import (
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/routing"
)

// NodeOf is what a Proxy makes of its Node: who it is, with the addresses on which ports are served, and where its Pods
// have theirs.
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

// Outside says whether from is the address of neither node nor one of its Pods. An invalid one is the node's, as is a
// loopback address.
func Outside(from netip.Addr, node routing.Node, pods []netip.Prefix) bool {
	from = from.Unmap()
	return from.IsValid() && !from.IsLoopback() && !slices.Contains(node.Addrs, from) &&
		!slices.ContainsFunc(pods, func(r netip.Prefix) bool { return r.Contains(from) })
}
