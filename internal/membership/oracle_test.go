package membership

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A second opinion on Subsets: for every Pod and port by itself, whether they are listed and as what. It knows nothing
// of Members, groups or order, and is right for the few kinds of Pods that the tests draw.

// listing is one address of one port.
type listing struct {
	port, address, pod string
	ready              bool
}

func expectedListings(svc *v1.Service, pods []*v1.Pod) map[listing]bool {
	want := map[listing]bool{}
	for _, p := range pods {
		ending := p.DeletionTimestamp != nil
		if p.Labels["app"] != "web" || p.Status.Phase == v1.PodSucceeded || ending && !svc.Spec.PublishNotReadyAddresses {
			continue
		}
		ready := svc.Spec.PublishNotReadyAddresses || len(p.Status.Conditions) == 1 &&
			p.Status.Conditions[0].Status == v1.ConditionTrue
		for _, ip := range p.Status.PodIPs {
			addr, err := netip.ParseAddr(ip.IP)
			if err != nil || addr.Is4() != (svc.Spec.IPFamilies[0] == v1.IPv4Protocol) {
				continue
			}
			for _, port := range expectedPorts(svc, p) {
				want[listing{port, addr.String(), p.Name, ready}] = true
			}
			break
		}
	}
	return want
}

func expectedPorts(svc *v1.Service, p *v1.Pod) []string {
	if len(svc.Spec.Ports) == 0 && svc.Spec.ClusterIP == v1.ClusterIPNone {
		return []string{"none"}
	}
	var ports []string
	for _, sp := range svc.Spec.Ports {
		switch {
		case sp.TargetPort.Type == intstr.Int:
			ports = append(ports, fmt.Sprint(sp.Name, "=", sp.TargetPort.IntVal))
		case len(p.Spec.Containers[0].Ports) > 0:
			ports = append(ports, fmt.Sprint(sp.Name, "=", p.Spec.Containers[0].Ports[0].ContainerPort))
		}
	}
	return ports
}

// checkSubsets compares subsets with the second opinion, and holds them to their form. There are to be less than
// MaxAddresses.
func checkSubsets(t *testing.T, svc *v1.Service, pods []*v1.Pod, subsets []v1.EndpointSubset) {
	t.Helper()
	got := map[listing]bool{}
	for _, s := range subsets {
		if len(s.Addresses)+len(s.NotReadyAddresses) == 0 {
			t.Error("a subset is empty: the API refuses it")
		}
		ports := []string{"none"}
		if len(s.Ports) > 0 {
			ports = nil
		}
		for _, p := range s.Ports {
			ports = append(ports, fmt.Sprint(p.Name, "=", p.Port))
		}
		for _, port := range ports {
			note(t, got, port, s.Addresses, true)
			note(t, got, port, s.NotReadyAddresses, false)
		}
	}
	if want := expectedListings(svc, pods); !apiequality.Semantic.DeepEqual(got, want) {
		t.Errorf("subsets list\n%v, want\n%v", got, want)
	}
}

// note adds the addresses of one port, each of which may be listed once, in order.
func note(t *testing.T, got map[listing]bool, port string, addresses []v1.EndpointAddress, ready bool) {
	t.Helper()
	for _, a := range addresses {
		l := listing{port, a.IP, a.TargetRef.Name, ready}
		if got[l] || got[listing{port, a.IP, a.TargetRef.Name, !ready}] {
			t.Errorf("%+v is listed twice", l)
		}
		got[l] = true
	}
	if !slices.IsSortedFunc(addresses, func(a, b v1.EndpointAddress) int {
		return mustAddr(t, a.IP).Compare(mustAddr(t,
			b.IP))
	}) {
		t.Errorf("the addresses of port %s are not sorted", port)
	}
}

func mustAddr(t *testing.T, s string) netip.Addr {
	t.Helper()
	addr, err := netip.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestSubsetsAgreeWithASecondOpinion(t *testing.T) {
	w := newWorld(t)
	for range 100 {
		svc, pods := w.service(), w.pods()
		subsets, truncated := Subsets(svc, OfPods(svc, pods, nil))
		if truncated {
			continue
		}
		checkSubsets(t, svc, pods, subsets)
		if again := Canonical(subsets); !apiequality.Semantic.DeepEqual(again, subsets) {
			t.Errorf("subsets are not in canonical form: %s, canonical %s", spellSubsets(subsets), spellSubsets(again))
		}
		if t.Failed() {
			return
		}
	}
}
