package proxy

import (
	"net"
	"net/netip"
	"slices"
)

// NodePorts says on which of the host's addresses node ports are served. The zero value means the Node's internal
// address of each family, and 127.0.0.1 while it has none but that.
type NodePorts struct {
	// every address of the host that is in one of these, except for loopback addresses; empty: see above
	Within []netip.Prefix
}

// addrs are the addresses meant, sorted; internal are those of the Node. The host's own are looked up anew each time.
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

// primary is the first address of each family that others can reach.
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
		return nil // no interfaces that we may see: nothing to serve on
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
