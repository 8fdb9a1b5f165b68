package routing

import (
	"net/netip"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var here = Node{
	Name: "here", Zone: "z1",
	Addrs:     []netip.Addr{netip.MustParseAddr("192.0.2.1")},
	NodePorts: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")},
}

func ptr[T any](v T) *T { return &v }

// service is a ClusterIP Service with one port, as edit leaves it.
func service(edit ...func(*v1.Service)) *v1.Service {
	s := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"},
		Spec: v1.ServiceSpec{
			Type: v1.ServiceTypeClusterIP, ClusterIP: "10.0.0.1", ClusterIPs: []string{"10.0.0.1"},
			Ports: []v1.ServicePort{{Name: "http", Port: 80, Protocol: v1.ProtocolTCP}},
		},
	}
	for _, e := range edit {
		e(s)
	}
	return s
}

// slice is an IPv4 slice of port http on number 8080.
func slice(eps ...discovery.Endpoint) *discovery.EndpointSlice {
	return &discovery.EndpointSlice{
		AddressType: discovery.AddressTypeIPv4,
		Ports:       []discovery.EndpointPort{{Name: ptr("http"), Port: ptr(int32(8080)), Protocol: ptr(v1.ProtocolTCP)}},
		Endpoints:   eps,
	}
}

// ep is an endpoint in a state spelled by letters: r ready, s serving, t terminating, l on this node. Without letters
// the conditions are all nil.
func ep(addr, state string) discovery.Endpoint {
	e := discovery.Endpoint{Addresses: []string{addr}, NodeName: ptr("elsewhere")}
	if state == "" {
		return e
	}
	e.Conditions = discovery.EndpointConditions{Ready: ptr(false), Serving: ptr(false), Terminating: ptr(false)}
	for _, c := range state {
		switch c {
		case 'r':
			e.Conditions.Ready = ptr(true)
		case 's':
			e.Conditions.Serving = ptr(true)
		case 't':
			e.Conditions.Terminating = ptr(true)
		case 'l':
			e.NodeName = ptr("here")
		}
	}
	return e
}

func hint(e discovery.Endpoint, node, zone string) discovery.Endpoint {
	e.Hints = &discovery.EndpointHints{}
	if node != "" {
		e.Hints.ForNodes = []discovery.ForNode{{Name: node}}
	}
	if zone != "" {
		e.Hints.ForZones = []discovery.ForZone{{Name: zone}}
	}
	return e
}

func addrs(p Pool) []string {
	out := []string{}
	for _, b := range p.Backends {
		out = append(out, b.Addr.String())
	}
	return out
}
