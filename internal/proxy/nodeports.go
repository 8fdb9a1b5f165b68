package proxy

import (
	"net"
	"net/netip"
	"slices"
)

// NodePorts selects the addresses of the host on which node ports are served. The zero value selects the Node's
// internal address of each family. It selects 127.0.0.1 if the Node has no internal address except loopback ones.
type NodePorts struct {
	// Within selects every address of the host in one of these prefixes, except loopback addresses. If it is empty, the
	// rule for the zero value applies.
	Within []netip.Prefix
}

// addrs returns the selected addresses, sorted. internal are the addresses of the Node. Each call reads the host's own
// addresses again.
func (n NodePorts) addrs(internal []netip.Addr) []netip.Addr {
	var out []netip.Addr
	if len(n.Within) > 0 {
		out = n.local()
	} else if out = primary(internal); len(out) == 0 {
		out = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// primary returns the first address of each family that other hosts can reach.
func primary(internal []netip.Addr) (out []netip.Addr) {
	for _, a := range internal {
		same := func(o netip.Addr) bool { return o.Is6() == a.Is6() }
		if !a.IsLoopback() && !slices.ContainsFunc(out, same) {
			out = append(out, a)
		}
	}
	return out
}

func (n NodePorts) local() (out []netip.Addr) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil // the interfaces cannot be read: there is no address to serve on
	}
	for _, one := range all {
		p, err := netip.ParsePrefix(one.String())
		if err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		addr := p.Addr().Unmap().WithZone("")
		if slices.ContainsFunc(n.Within, func(w netip.Prefix) bool { return w.Contains(addr) }) {
			out = append(out, addr)
		}
	}
	return out
}
