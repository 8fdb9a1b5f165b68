package membership

import (
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// spell writes subsets down: "ready addresses | not ready ones : ports", separated by "; ".
func spellSubsets(subsets []v1.EndpointSubset) string {
	var parts []string
	for _, s := range subsets {
		var ready, notReady, ports []string
		for _, a := range s.Addresses {
			ready = append(ready, a.IP)
		}
		for _, a := range s.NotReadyAddresses {
			notReady = append(notReady, a.IP)
		}
		for _, p := range s.Ports {
			ports = append(ports, fmt.Sprintf("%s%d/%s", p.Name, p.Port, p.Protocol))
		}
		parts = append(parts, strings.Join(ready, " ")+"|"+strings.Join(notReady, " ")+":"+strings.Join(ports, " "))
	}
	return strings.Join(parts, "; ")
}

func twoPorts(svc *v1.Service) {
	svc.Spec.Ports = []v1.ServicePort{
		{Name: "web", Port: 80, TargetPort: intstr.FromString("http"), Protocol: v1.ProtocolTCP},
		{Name: "adm", Port: 81, TargetPort: intstr.FromInt32(9000), Protocol: v1.ProtocolTCP},
	}
}

func httpAt(port int32) func(*v1.Pod) {
	return func(p *v1.Pod) { p.Spec.Containers[0].Ports[0].ContainerPort = port }
}

func noPorts(p *v1.Pod) { p.Spec.Containers[0].Ports = nil }

func headless(svc *v1.Service) { svc.Spec.ClusterIP = v1.ClusterIPNone }

func TestSubsets(t *testing.T) {
	v6 := func(p *v1.Pod) { p.Status.PodIPs = append(p.Status.PodIPs, v1.PodIP{IP: "fd00::7"}) }
	tests := []struct {
		name string
		svc  *v1.Service
		pods []*v1.Pod
		want string
	}{
		{"nobody", web(), nil, ""},
		{"by number, not by text", web(), []*v1.Pod{pod("a", "10.0.0.10"), pod("b", "10.0.0.2")},
			"10.0.0.2 10.0.0.10|:8080/TCP"},
		{"ready and not", web(), []*v1.Pod{pod("a", "10.0.0.1"), pod("b", "10.0.0.2", notReady)},
			"10.0.0.1|10.0.0.2:8080/TCP"},
		{"only not ready ones", web(), []*v1.Pod{pod("b", "10.0.0.2", notReady)}, "|10.0.0.2:8080/TCP"},
		{"published", web(publishNotReady), []*v1.Pod{pod("b", "10.0.0.2", notReady), pod("c", "10.0.0.3", deleted)},
			"10.0.0.2 10.0.0.3|:8080/TCP"},
		{"terminating", web(), []*v1.Pod{pod("a", "10.0.0.1"), pod("b", "10.0.0.2", deleted)}, "10.0.0.1|:8080/TCP"},
		{"two ports", web(twoPorts), []*v1.Pod{pod("a", "10.0.0.1"), pod("b", "10.0.0.2")},
			"10.0.0.1 10.0.0.2|:adm9000/TCP web8080/TCP"},
		{"a name that means two numbers", web(twoPorts), []*v1.Pod{pod("a", "10.0.0.1"), pod("b", "10.0.0.2", httpAt(8081))},
			"10.0.0.1 10.0.0.2|:adm9000/TCP; 10.0.0.1|:web8080/TCP; 10.0.0.2|:web8081/TCP"},
		{"a name that one does not have", web(twoPorts), []*v1.Pod{pod("a", "10.0.0.1"), pod("b", "10.0.0.2", noPorts)},
			"10.0.0.1 10.0.0.2|:adm9000/TCP; 10.0.0.1|:web8080/TCP"},
		{"a name that nobody has", web(func(s *v1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromString("x") }),
			[]*v1.Pod{pod("a", "10.0.0.1")}, ""},
		{"host network: one address, two Pods", web(), []*v1.Pod{pod("a", "10.0.0.1"), pod("b", "10.0.0.1")},
			"10.0.0.1 10.0.0.1|:8080/TCP"},
		{"headless without ports", web(headless, func(s *v1.Service) { s.Spec.Ports = nil }), []*v1.Pod{pod("a", "10.0.0.1")},
			"10.0.0.1|:"},
		{"not headless, without ports", web(func(s *v1.Service) { s.Spec.Ports = nil }), []*v1.Pod{pod("a", "10.0.0.1")}, ""},
		{"the primary family", web(dualStack), []*v1.Pod{pod("a", "10.0.0.1", v6)}, "10.0.0.1|:8080/TCP"},
		{"IPv6 first", web(func(s *v1.Service) { s.Spec.IPFamilies = []v1.IPFamily{v1.IPv6Protocol, v1.IPv4Protocol} }),
			[]*v1.Pod{pod("a", "10.0.0.1", v6), pod("b", "10.0.0.2")}, "fd00::7|:8080/TCP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, truncated := Subsets(tt.svc, OfPods(tt.svc, tt.pods, nil))
			if spellSubsets(got) != tt.want || truncated {
				t.Errorf("got %q (truncated %v), want %q", spellSubsets(got), truncated, tt.want)
			}
		})
	}
}

func TestAnAddressSaysWhoseItIs(t *testing.T) {
	member := pod("a", "10.0.0.1", func(p *v1.Pod) { p.Spec.Hostname, p.Spec.Subdomain = "h", "web" })
	subsets, _ := Subsets(web(), OfPods(web(), []*v1.Pod{member}, nil))
	a := subsets[0].Addresses[0]
	if a.Hostname != "h" || a.NodeName == nil || *a.NodeName != "node-1" {
		t.Errorf("hostname %q, node %v", a.Hostname, a.NodeName)
	}
	if want := (v1.ObjectReference{Kind: "Pod", Namespace: "ns", Name: "a", UID: "a-uid"}); *a.TargetRef != want {
		t.Errorf("target %+v", *a.TargetRef)
	}
	unscheduled := pod("b", "10.0.0.1", func(p *v1.Pod) { p.Spec.NodeName = "" })
	subsets, _ = Subsets(web(), OfPods(web(), []*v1.Pod{unscheduled}, nil))
	if subsets[0].Addresses[0].NodeName != nil {
		t.Error("the API refuses an empty node name; it is to be left out")
	}
}

func TestTruncation(t *testing.T) {
	tests := []struct {
		name                                         string
		ready, notReady, otherReady                  int // otherReady have another number for the port
		wantReady, wantNotReady, wantOther, wantSets int
	}{
		{"just fits", 1000, 0, 0, 1000, 0, 0, 1},
		{"ready ones first", 990, 100, 0, 990, 10, 0, 1},
		{"too many ready", 1500, 100, 0, 1000, 0, 0, 1},
		{"each subset its share", 1500, 0, 500, 750, 0, 250, 2},
		{"no subset is left empty", 1200, 0, 1, 1000, 0, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			svc := web(func(s *v1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromString("http") })
			var pods []*v1.Pod
			add := func(n int, change ...func(*v1.Pod)) {
				for range n {
					i := len(pods)
					pods = append(pods, pod(fmt.Sprintf("p%05d", i), fmt.Sprintf("10.1.%d.%d", i/200, i%200+1), change...))
				}
			}
			add(tt.ready)
			add(tt.notReady, notReady)
			add(tt.otherReady, httpAt(9999))
			subsets, truncated := Subsets(svc, OfPods(svc, pods, nil))
			if want := tt.ready+tt.notReady+tt.otherReady > MaxAddresses; truncated != want {
				t.Errorf("truncated %v, want %v", truncated, want)
			}
			var ready, unready, other int
			for _, s := range subsets {
				if len(s.Addresses)+len(s.NotReadyAddresses) == 0 {
					t.Error("a subset is empty: the API refuses it")
				}
				if s.Ports[0].Port == 9999 {
					other += len(s.Addresses)
				} else {
					ready += len(s.Addresses)
				}
				unready += len(s.NotReadyAddresses)
			}
			if ready != tt.wantReady || unready != tt.wantNotReady || other != tt.wantOther || len(subsets) != tt.wantSets {
				t.Errorf("%d ready, %d not ready, %d on the other port in %d subsets; want %d, %d, %d in %d",
					ready, unready, other, len(subsets), tt.wantReady, tt.wantNotReady, tt.wantOther, tt.wantSets)
			}
		})
	}
}

// byHand makes a subset with one port.
func byHand(port int32, ready []string, notReady ...string) v1.EndpointSubset {
	s := v1.EndpointSubset{Ports: []v1.EndpointPort{{Port: port, Protocol: v1.ProtocolTCP}}}
	for _, ip := range ready {
		s.Addresses = append(s.Addresses, v1.EndpointAddress{IP: ip})
	}
	for _, ip := range notReady {
		s.NotReadyAddresses = append(s.NotReadyAddresses, v1.EndpointAddress{IP: ip})
	}
	return s
}

func TestCanonical(t *testing.T) {
	tests := []struct {
		name string
		in   []v1.EndpointSubset
		want string
	}{
		{"nothing", nil, ""},
		{"order", []v1.EndpointSubset{byHand(80, []string{"10.0.0.10", "10.0.0.2"})}, "10.0.0.2 10.0.0.10|:80/TCP"},
		{"one port in two subsets", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1"}), byHand(80, []string{"10.0.0.2"})},
			"10.0.0.1 10.0.0.2|:80/TCP"},
		{"the same addresses on two ports", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1"}),
			byHand(81, []string{"10.0.0.1"})}, "10.0.0.1|:80/TCP 81/TCP"},
		{"twice", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1", "10.0.0.1"})}, "10.0.0.1|:80/TCP"},
		{"ready and not: not", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1"}), byHand(80, nil, "10.0.0.1")},
			"|10.0.0.1:80/TCP"},
		{"ready on one port only", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1"}), byHand(81, nil, "10.0.0.1")},
			"10.0.0.1|:80/TCP; |10.0.0.1:81/TCP"},
		{"without ports", []v1.EndpointSubset{{Addresses: []v1.EndpointAddress{{IP: "10.0.0.1"}}}}, "10.0.0.1|:"},
		{"with and without ports", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1"}),
			{Addresses: []v1.EndpointAddress{{IP: "10.0.0.1"}}}},
			"10.0.0.1|:80/TCP; 10.0.0.1|:"},
		{"IPv4 in IPv6", []v1.EndpointSubset{byHand(80, []string{"::ffff:10.0.0.1"})}, "10.0.0.1|:80/TCP"},
		{"no address", []v1.EndpointSubset{byHand(80, []string{"db.example.com"})}, ""},
	}
	for _, tt := range tests {
		got := Canonical(tt.in)
		if spellSubsets(got) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, spellSubsets(got), tt.want)
		}
		if again := spellSubsets(Canonical(got)); again != tt.want {
			t.Errorf("%s: once more it is %q", tt.name, again)
		}
	}
}
