package printers

import (
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func TestServiceRows(t *testing.T) {
	tests := []struct {
		name, want string
		spec       v1.ServiceSpec
		ingress    []v1.LoadBalancerIngress
	}{
		{"cluster IP", "s | ClusterIP | 10.96.0.7 | <none> | 80/TCP,53/UDP | 5m | app=web,tier=front", v1.ServiceSpec{
			Type: "ClusterIP", ClusterIPs: []string{"10.96.0.7", "fd00::7"}, Selector: map[string]string{"tier": "front",
				"app": "web"},
			Ports: []v1.ServicePort{{Port: 80, Protocol: "TCP"}, {Port: 53, Protocol: "UDP"}}}, nil},
		{"headless, without ports", "s | ClusterIP | None | <none> | <none> | 5m | <none>",
			v1.ServiceSpec{Type: "ClusterIP", ClusterIPs: []string{"None"}}, nil},
		{"node port, external IPs", "s | NodePort | 10.96.0.7 | 192.0.2.1,192.0.2.2 | 80:30080/TCP | 5m | <none>",
			v1.ServiceSpec{
				Type: "NodePort", ClusterIPs: []string{"10.96.0.7"}, ExternalIPs: []string{"192.0.2.1", "192.0.2.2"},
				Ports: []v1.ServicePort{{Port: 80, NodePort: 30080, Protocol: "TCP"}}}, nil},
		{"load balancer to come", "s | LoadBalancer | <none> | <pending> | <none> | 5m | <none>",
			v1.ServiceSpec{Type: "LoadBalancer"}, nil},
		{"load balancer", "s | LoadBalancer | <none> | 192.0.2.9,lb.example,198.51.100.1 | <none> | 5m | <none>",
			v1.ServiceSpec{Type: "LoadBalancer", ExternalIPs: []string{"198.51.100.1"}},
			[]v1.LoadBalancerIngress{{Hostname: "lb.example"}, {IP: "192.0.2.9"}, {IP: "192.0.2.9"}, {}}},
		{"external name", "s | ExternalName | <none> | db.example | <none> | 5m | <none>",
			v1.ServiceSpec{Type: "ExternalName", ExternalName: "db.example"}, nil},
		{"unknown type", "s | Other | <none> | <unknown> | <none> | 5m | <none>", v1.ServiceSpec{Type: "Other"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc := &v1.Service{ObjectMeta: created("s"), Spec: tt.spec}
			svc.Status.LoadBalancer.Ingress = tt.ingress
			if got := row(t, Services(), svc); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func addresses(ips ...string) (list []v1.EndpointAddress) {
	for _, ip := range ips {
		list = append(list, v1.EndpointAddress{IP: ip})
	}
	return list
}

func TestEndpointsRows(t *testing.T) {
	web := []v1.EndpointPort{{Name: "http", Port: 8080}, {Name: "admin", Port: 9090}}
	tests := []struct {
		name, want string
		subsets    []v1.EndpointSubset
	}{
		{"none", "e | <none> | 5m", nil},
		{"one", "e | 10.0.0.1:8080 | 5m", []v1.EndpointSubset{{Addresses: addresses("10.0.0.1"), Ports: web[:1]}}},
		{"every port", "e | 10.0.0.1:8080,10.0.0.1:9090 | 5m", []v1.EndpointSubset{{Addresses: addresses("10.0.0.1"),
			Ports: web}}},
		{"IPv6", "e | [fd00::1]:8080 | 5m", []v1.EndpointSubset{{Addresses: addresses("fd00::1"), Ports: web[:1]}}},
		{"no ports", "e | 10.0.0.1,10.0.0.2 | 5m", []v1.EndpointSubset{{Addresses: addresses("10.0.0.1", "10.0.0.2")}}},
		{"not ready", "e |  | 5m", []v1.EndpointSubset{{NotReadyAddresses: addresses("10.0.0.1"), Ports: web}}},
		{"three", "e | 10.0.0.1,10.0.0.2,10.0.0.3 | 5m",
			[]v1.EndpointSubset{{Addresses: addresses("10.0.0.1", "10.0.0.2", "10.0.0.3")}}},
		{"more than three", "e | 10.0.0.1:8080,10.0.0.2:8080,10.0.0.1:9090 + 2 more... | 5m", []v1.EndpointSubset{
			{Addresses: addresses("10.0.0.1", "10.0.0.2"), Ports: web}, {Addresses: addresses("10.0.0.3"), Ports: web[:1]}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := row(t, Endpoints(), &v1.Endpoints{ObjectMeta: created("e"), Subsets: tt.subsets}); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestEndpointSliceRows(t *testing.T) {
	number, named := int32(80), "http"
	slice := &discoveryv1.EndpointSlice{ObjectMeta: created("e"), AddressType: "IPv4"}
	if got, want := row(t, EndpointSlices(), slice), "e | IPv4 | <unset> | <unset> | 5m"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	slice.Ports = []discoveryv1.EndpointPort{{Name: &named, Port: &number}, {Name: &named}, {}}
	for i := range 5 {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.0.0.%d", i)}})
	}
	if got, want := row(t, EndpointSlices(), slice), "e | IPv4 | 80,http,* | 10.0.0.0,10.0.0.1,10.0.0.2 + 2 more... | "+
		"5m"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
