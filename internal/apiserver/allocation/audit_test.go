package allocation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// stored returns a Service in namespace ns that was created the given number of minutes after the first one.
func stored(name string, minute int, change ...func(*corev1.ServiceSpec)) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: name, UID: types.UID("uid-" + name),
		CreationTimestamp: metav1.NewTime(time.Unix(int64(60*minute), 0)),
	}}
	for _, f := range change {
		f(&svc.Spec)
	}
	return svc
}

func at(ips ...string) func(*corev1.ServiceSpec) {
	return func(s *corev1.ServiceSpec) {
		s.Type, s.ClusterIP, s.ClusterIPs = corev1.ServiceTypeClusterIP, ips[0], ips
	}
}

func onPorts(ports ...int32) func(*corev1.ServiceSpec) {
	return func(s *corev1.ServiceSpec) {
		s.Type = corev1.ServiceTypeNodePort
		for _, p := range ports {
			s.Ports = append(s.Ports, corev1.ServicePort{NodePort: p})
		}
	}
}

func recorded(name string) *record {
	return &record{owner: Owner{Namespace: "ns", Name: name, UID: types.UID("uid-" + name)}, version: "v"}
}

func mustRange(t *testing.T, cidr string) Range {
	t.Helper()
	r, err := NewRange(netip.MustParsePrefix(cidr))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func describe[K comparable](found []finding[K]) string {
	actions := []string{"report", "claim", "replace", "remove"}
	var lines []string
	for _, f := range found {
		lines = append(lines, fmt.Sprintf("%v %s %s %s", f.key, f.reason, actions[f.action], f.service.Name))
	}
	return strings.Join(lines, "; ")
}

func TestAuditAddresses(t *testing.T) {
	ip := netip.MustParseAddr
	tests := []struct {
		name     string
		services []*corev1.Service
		records  map[netip.Addr]*record
		want     string
	}{
		{"nothing is wrong", []*corev1.Service{stored("a", 0, at("10.0.0.1", "fd00::1"))},
			map[netip.Addr]*record{ip("10.0.0.1"): recorded("a"), ip("fd00::1"): recorded("a")}, ""},
		{"upstream's records are compared by name", []*corev1.Service{stored("a", 0, at("10.0.0.1"))},
			map[netip.Addr]*record{ip("10.0.0.1"): {owner: Owner{Namespace: "ns", Name: "a"}}}, ""},
		{"headless, and ExternalName", []*corev1.Service{stored("a", 0, at(corev1.ClusterIPNone)),
			stored("b", 0, at("10.0.0.1"), func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeExternalName })}, nil, ""},
		{"missing", []*corev1.Service{stored("a", 0, at("10.0.0.1", "fd00::1"))},
			map[netip.Addr]*record{ip("fd00::1"): recorded("a")}, "10.0.0.1 ClusterIPNotAllocated claim a"},
		{"a Service stored before clusterIPs", []*corev1.Service{stored("a", 0, at("10.0.0.1"),
			func(s *corev1.ServiceSpec) { s.ClusterIPs = nil })}, nil,
			"10.0.0.1 ClusterIPNotAllocated claim a"},
		{"twice, the record decides", []*corev1.Service{stored("a", 0, at("10.0.0.1")), stored("b", 1, at("10.0.0.1"))},
			map[netip.Addr]*record{ip("10.0.0.1"): recorded("b")}, "10.0.0.1 ClusterIPAlreadyAllocated report a"},
		{"twice, the older Service is right", []*corev1.Service{stored("b", 1, at("10.0.0.1")),
			stored("a", 2, at("10.0.0.1"))}, nil,
			"10.0.0.1 ClusterIPNotAllocated claim b; 10.0.0.1 ClusterIPAlreadyAllocated report a"},
		{"out of range", []*corev1.Service{stored("a", 0, at("10.1.0.1"))}, nil, "10.1.0.1 ClusterIPOutOfRange report a"},
		{"of a Service that is gone", nil, map[netip.Addr]*record{ip("10.0.0.9"): recorded("gone")},
			"10.0.0.9 IPAddressNotAllocated remove gone"},
		{"of a Service that has another", []*corev1.Service{stored("a", 0, at("10.0.0.1"))},
			map[netip.Addr]*record{ip("10.0.0.1"): recorded("a"), ip("10.0.0.9"): recorded("a")},
			"10.0.0.9 IPAddressWrongReference remove a"},
		{"of an earlier Service of the name", []*corev1.Service{stored("a", 0, at("10.0.0.1"))},
			map[netip.Addr]*record{ip("10.0.0.1"): {owner: Owner{Namespace: "ns", Name: "a", UID: "earlier"}}},
			"10.0.0.1 ClusterIPNotAllocated replace a"},
		{"of another", []*corev1.Service{stored("a", 0, at("10.0.0.1"))},
			map[netip.Addr]*record{ip("10.0.0.1"): recorded("gone")}, "10.0.0.1 ClusterIPNotAllocated replace a"},
		{"of no Service", []*corev1.Service{stored("a", 0, at("10.0.0.1"))},
			map[netip.Addr]*record{ip("10.0.0.1"): {foreign: true}, ip("10.0.0.2"): {foreign: true}},
			"10.0.0.1 ClusterIPNotAllocated replace a; 10.0.0.2 IPAddressNotAllocated remove "},
		{"of another program", nil, map[netip.Addr]*record{ip("10.0.0.2"): {foreign: true, unmanaged: true}}, ""},
		{"without its labels", []*corev1.Service{stored("a", 0, at("10.0.0.1"))},
			map[netip.Addr]*record{ip("10.0.0.1"): {owner: OwnerOf(stored("a", 0)), unmanaged: true}},
			"10.0.0.1 ClusterIPNotAllocated replace a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := snapshot{services: tt.services, addresses: tt.records, ranges: []Range{mustRange(t, "10.0.0.0/24"),
				mustRange(t, "fd00::/112")}}
			if got := describe(auditAddresses(s)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAuditPorts(t *testing.T) {
	balancer := func(s *corev1.ServiceSpec) {
		s.Type, s.ExternalTrafficPolicy, s.HealthCheckNodePort = corev1.ServiceTypeLoadBalancer,
			corev1.ServiceExternalTrafficPolicyLocal, 30002
	}
	tests := []struct {
		name     string
		services []*corev1.Service
		records  map[int32]*record
		want     string
	}{
		{"nothing is wrong", []*corev1.Service{stored("a", 0, onPorts(30001, 30001), balancer)},
			map[int32]*record{30001: recorded("a"), 30002: recorded("a")}, ""},
		{"of a type without", []*corev1.Service{stored("a", 0, onPorts(30001), at("10.0.0.1"))}, nil, ""},
		{"missing", []*corev1.Service{stored("a", 0, onPorts(30001), balancer)}, nil,
			"30001 PortNotAllocated claim a; 30002 PortNotAllocated claim a"},
		{"twice", []*corev1.Service{stored("a", 0, onPorts(30001)), stored("b", 1, onPorts(30001))},
			map[int32]*record{30001: recorded("a")},
			"30001 PortAlreadyAllocated report b"},
		{"out of range", []*corev1.Service{stored("a", 0, onPorts(29999))}, nil, "29999 PortOutOfRange report a"},
		{"leaked", []*corev1.Service{stored("a", 0, onPorts(30001))}, map[int32]*record{30001: recorded("a"),
			30005: recorded("a"), 30006: recorded("gone")},
			"30005 PortLeaked remove a; 30006 PortLeaked remove gone"},
		{"unreadable", nil, map[int32]*record{30001: portRecord([]byte("{"), 7)}, "30001 PortLeaked remove "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := describe(auditPorts(snapshot{services: tt.services, ports: tt.records,
				nodePorts: DefaultNodePorts()})); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestNotValid(t *testing.T) {
	found := notValid([]*corev1.Service{stored("a", 0, at("10.0.0.1", "nonsense")),
		stored("b", 0, at(corev1.ClusterIPNone))})
	if got := found[OwnerOf(stored("a", 0))]; len(found) != 1 || !slices.Equal(got, []string{"nonsense"}) {
		t.Errorf("%v", found)
	}
}
