package routing

import (
	"net/netip"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRefused(t *testing.T) {
	node := Node{Name: "me", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}
	pod := &v1.ObjectReference{Kind: "Pod", Name: "web"}
	for _, c := range []struct {
		name, namespace, clusterIP, addr string
		ref                              *v1.ObjectReference
		refused                          bool
	}{
		{"a Pod", "shop", "10.96.0.1", "10.244.0.2", pod, false},
		{"a machine outside", "shop", "10.96.0.1", "198.51.100.1", nil, false},
		{"loopback", "shop", "10.96.0.1", "127.0.0.1", pod, true},
		{"4-in-6 loopback", "shop", "10.96.0.1", "::ffff:127.0.0.1", pod, true},
		{"loopback of a Service that is one", "shop", "127.96.0.1", "127.128.0.1", pod, false},
		{"link-local", "shop", "10.96.0.1", "169.254.169.254", nil, true},
		{"multicast", "shop", "10.96.0.1", "224.0.0.1", nil, true},
		{"unspecified", "shop", "10.96.0.1", "0.0.0.0", nil, true},
		{"no address", "shop", "10.96.0.1", "localhost", nil, true},
		{"the node's own", "shop", "10.96.0.1", "192.0.2.7", nil, true},
		{"the node's own, of a Pod with its network", "shop", "10.96.0.1", "192.0.2.7", pod, false},
		{"the node's own, of the cluster's Services", "kube-system", "10.96.0.1", "192.0.2.7", nil, false},
	} {
		svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "web"}, Spec: v1.ServiceSpec{
			ClusterIP: c.clusterIP, ClusterIPs: []string{c.clusterIP},
			Ports: []v1.ServicePort{{Port: 80, Protocol: v1.ProtocolTCP}}}}
		port, name := int32(80), ""
		slice := &discovery.EndpointSlice{AddressType: discovery.AddressTypeIPv4,
			Ports:     []discovery.EndpointPort{{Name: &name, Port: &port}},
			Endpoints: []discovery.Endpoint{{Addresses: []string{c.addr}, TargetRef: c.ref}}}
		got := RefusedOf(node, svc, []*discovery.EndpointSlice{slice, slice})
		served := slices.ContainsFunc(Frontends(node, svc, []*discovery.EndpointSlice{slice}),
			func(f Frontend) bool { return len(f.Inside.Backends) > 0 })
		if (len(got) == 1) != c.refused || served == c.refused {
			t.Errorf("%s: refused %v, served %v", c.name, got, served)
		}
	}
}
