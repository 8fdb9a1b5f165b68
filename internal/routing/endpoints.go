package routing

import (
	"cmp"
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/annotations"
)

// endpoint is one address:port of a Service port, with the properties that decide about its use. All fields are plain
// values, so two readings of the same cluster compare equal.
type endpoint struct {
	addr                        netip.AddrPort
	ready, serving, terminating bool
	local                       bool
	forNodes, forZones          []string // hints, sorted
	weight                      uint32   // 0: drained
	readySince                  int64    // only for slow start, in seconds of the Unix clock; 0: not known
}

// usable reports whether e may get new connections at all: it is ready, or terminating but still serving, and not
// drained.
func (e endpoint) usable() bool { return e.picked() || e.fallback() }

// picked reports whether e is ready and not drained.
func (e endpoint) picked() bool { return e.ready && e.weight > 0 }

// fallback reports whether e may serve when no endpoint is ready: it is terminating but still serving, and not drained.
func (e endpoint) fallback() bool { return e.serving && e.terminating && e.weight > 0 }

// drained reports whether the weight 0 is the only reason why e gets no new connections.
func (e endpoint) drained() bool { return (e.ready || e.serving && e.terminating) && e.weight == 0 }

// endpointsOf lists the endpoints of one Service port in one address family, sorted by address and distinct.
func endpointsOf(node Node, r rules, port v1.ServicePort, v6 bool, from []*discovery.EndpointSlice) []endpoint {
	var all []endpoint
	for _, slice := range from {
		if slice.AddressType != addressType(v6) {
			continue
		}
		weights, _ := annotations.SliceWeights(slice)
		since := annotations.SliceReadySince(slice)
		for _, number := range portNumbers(port, slice.Ports) {
			for i := range slice.Endpoints {
				if e, ok := readEndpoint(node, r, &slice.Endpoints[i], number, v6); ok {
					e.weight, e.readySince = weights.Of(e.addr.Addr()), since[e.addr.Addr()]
					all = append(all, e)
				}
			}
		}
	}
	slices.SortFunc(all, compareEndpoints)
	return slices.CompactFunc(all, func(a, b endpoint) bool { return a.addr == b.addr })
}

func addressType(v6 bool) discovery.AddressType {
	if v6 {
		return discovery.AddressTypeIPv6
	}
	return discovery.AddressTypeIPv4
}

// portNumbers are the numbers of the slice's ports that match port by name and protocol. targetPort is not compared: it
// was resolved when the slice was written. A slice port without name or number matches no Service port.
func portNumbers(port v1.ServicePort, have []discovery.EndpointPort) []uint16 {
	var numbers []uint16
	for _, p := range have {
		if p.Name == nil || *p.Name != port.Name || p.Port == nil || *p.Port < 1 || *p.Port > 65535 {
			continue
		}
		if protoOf(valueOr(p.Protocol, v1.ProtocolTCP)) == protoOf(port.Protocol) {
			numbers = append(numbers, uint16(*p.Port))
		}
	}
	return numbers
}

// readEndpoint converts e. It returns false when the address is of the other family, or is refused. Only the first
// address counts: the API gives no meaning to more addresses.
func readEndpoint(node Node, r rules, e *discovery.Endpoint, port uint16, v6 bool) (endpoint, bool) {
	if len(e.Addresses) == 0 {
		return endpoint{}, false
	}
	addr, ok := parseAddr(e.Addresses[0])
	if !ok || addr.Is6() != v6 || r.broken(addr, e) != "" {
		return endpoint{}, false
	}
	read := endpoint{
		addr:        netip.AddrPortFrom(addr, port),
		ready:       valueOr(e.Conditions.Ready, true),
		serving:     valueOr(e.Conditions.Serving, true),
		terminating: valueOr(e.Conditions.Terminating, false),
		local:       node.Name != "" && valueOr(e.NodeName, "") == node.Name,
	}
	read.forNodes, read.forZones = hintsOf(e.Hints)
	return read, true
}

func hintsOf(h *discovery.EndpointHints) (nodes, zones []string) {
	if h == nil {
		return nil, nil
	}
	for _, n := range h.ForNodes {
		nodes = append(nodes, n.Name)
	}
	for _, z := range h.ForZones {
		zones = append(zones, z.Name)
	}
	slices.Sort(nodes)
	slices.Sort(zones)
	return nodes, zones
}

// compareEndpoints orders endpoints by address. An address can appear twice: when a Pod moves between two slices, or in
// slices of different writers. Then the first entry counts: one that is not terminating, then ready, then serving, then
// on this node. The other comparisons make the order total, so the order of the slices has no effect.
func compareEndpoints(a, b endpoint) int {
	return cmp.Or(
		a.addr.Compare(b.addr),
		compareBool(a.terminating, b.terminating),
		compareBool(b.ready, a.ready),
		compareBool(b.serving, a.serving),
		compareBool(b.local, a.local),
		slices.Compare(a.forNodes, b.forNodes),
		slices.Compare(a.forZones, b.forZones),
		cmp.Compare(a.weight, b.weight),
		cmp.Compare(a.readySince, b.readySince),
	)
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// protoOf converts a protocol; 0 for an unknown protocol. An empty protocol is TCP, the default of the API.
func protoOf(p v1.Protocol) Proto {
	switch p {
	case v1.ProtocolTCP, "":
		return TCP
	case v1.ProtocolUDP:
		return UDP
	case v1.ProtocolSCTP:
		return SCTP
	}
	return 0
}

// parseAddr parses an address to the form that packets have: a 4-in-6 address becomes IPv4. It refuses an address with
// a zone, because a zone is valid only on the machine that wrote it.
func parseAddr(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}
