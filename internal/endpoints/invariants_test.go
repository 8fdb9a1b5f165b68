package endpoints_test

import (
	"fmt"
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// What must hold whatever package membership says: this file does not use it.

// listing is one address of one port, as what it is listed.
type listing struct {
	ip, pod, port string // port "" is none
	ready         bool
}

// broken says which of the invariants do not hold.
func broken(s stored, byHand map[types.NamespacedName]*v1.Endpoints,
	foreign map[types.NamespacedName]*discovery.EndpointSlice) []string {
	wrong := touched(s, byHand, foreign)
	for i := range s.slices {
		if n := len(s.slices[i].Endpoints); n > 100 && s.slices[i].Labels[discovery.LabelManagedBy] == ours {
			wrong = append(wrong, fmt.Sprintf("the slice %s has %d endpoints", s.slices[i].Name, n))
		}
	}
	for i := range s.services {
		svc := &s.services[i]
		if len(svc.Spec.Selector) == 0 || svc.Spec.Type == v1.ServiceTypeExternalName || svc.DeletionTimestamp != nil {
			continue
		}
		pods := s.podsIn(svc.Namespace)
		wrong = append(wrong, differences(fmt.Sprintf("the slices of %s", keyOf(svc)),
			linesOfSlices(s.slicesOf(keyOf(svc), ours)), wantedInSlices(svc, pods))...)
		wrong = append(wrong, differences(fmt.Sprintf("the Endpoints of %s", keyOf(svc)),
			linesOfEndpoints(s.endpointsOf(keyOf(svc))), wantedInEndpoints(svc, pods))...)
	}
	return wrong
}

// touched says what is not as its author left it.
func touched(s stored, byHand map[types.NamespacedName]*v1.Endpoints,
	foreign map[types.NamespacedName]*discovery.EndpointSlice) []string {
	var wrong []string
	for key, left := range byHand {
		if ep := s.endpointsOf(key); ep == nil || !apiequality.Semantic.DeepEqual(ep, left) {
			wrong = append(wrong, fmt.Sprintf("the Endpoints %s were written by hand, and are changed or gone", key))
		}
	}
	for key, left := range foreign {
		if es := s.sliceOf(key); es == nil || !apiequality.Semantic.DeepEqual(es, left) {
			wrong = append(wrong, fmt.Sprintf("the slice %s is somebody else's, and is changed or gone", key))
		}
	}
	return wrong
}

// differences compares what is listed, each as often as it is, with what is to be listed once.
func differences(where string, got map[listing]int, want map[listing]bool) []string {
	var wrong []string
	for l, n := range got {
		switch {
		case !want[l]:
			wrong = append(wrong, fmt.Sprintf("%s list %+v", where, l))
		case n > 1:
			wrong = append(wrong, fmt.Sprintf("%s list %+v %d times", where, l, n))
		}
	}
	for l := range want {
		if got[l] == 0 {
			wrong = append(wrong, fmt.Sprintf("%s do not list %+v", where, l))
		}
	}
	slices.Sort(wrong)
	return wrong
}

func spellPort(name string, number int32, protocol v1.Protocol) string {
	return fmt.Sprintf("%s %d/%s", name, number, protocol)
}

func linesOfSlices(of []*discovery.EndpointSlice) map[listing]int {
	lines := map[listing]int{}
	for _, s := range of {
		ports := []string{}
		for _, p := range s.Ports {
			ports = append(ports, spellPort(*p.Name, *p.Port, *p.Protocol))
		}
		if len(ports) == 0 {
			ports = []string{""}
		}
		for _, e := range s.Endpoints {
			for _, port := range ports {
				l := listing{ip: e.Addresses[0], port: port, ready: e.Conditions.Ready == nil || *e.Conditions.Ready}
				if e.TargetRef != nil {
					l.pod = e.TargetRef.Name + " " + string(e.TargetRef.UID)
				}
				lines[l]++
			}
		}
	}
	return lines
}

func linesOfEndpoints(ep *v1.Endpoints) map[listing]int {
	lines := map[listing]int{}
	if ep == nil {
		return lines
	}
	add := func(addresses []v1.EndpointAddress, port string, ready bool) {
		for _, a := range addresses {
			l := listing{ip: a.IP, port: port, ready: ready}
			if a.TargetRef != nil {
				l.pod = a.TargetRef.Name + " " + string(a.TargetRef.UID)
			}
			lines[l]++
		}
	}
	for _, s := range ep.Subsets {
		ports := []string{}
		for _, p := range s.Ports {
			ports = append(ports, spellPort(p.Name, p.Port, p.Protocol))
		}
		if len(ports) == 0 {
			ports = []string{""}
		}
		for _, port := range ports {
			add(s.Addresses, port, true)
			add(s.NotReadyAddresses, port, false)
		}
	}
	return lines
}

func chosen(svc *v1.Service, p *v1.Pod) bool {
	for k, want := range svc.Spec.Selector {
		if p.Labels[k] != want {
			return false
		}
	}
	return p.Status.Phase != v1.PodSucceeded && p.Status.Phase != v1.PodFailed
}

func hasReady(p *v1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c v1.PodCondition) bool {
		return c.Type == v1.PodReady && c.Status == v1.ConditionTrue
	})
}

func wantedInSlices(svc *v1.Service, pods []*v1.Pod) map[listing]bool {
	want := map[listing]bool{}
	for _, p := range pods {
		if !chosen(svc, p) {
			continue
		}
		ready := svc.Spec.PublishNotReadyAddresses || hasReady(p) && p.DeletionTimestamp == nil
		ports := offered(svc, p)
		if len(ports) == 0 {
			ports = []string{""}
		}
		note(want, p, svc.Spec.IPFamilies, ports, ready)
	}
	return want
}

func wantedInEndpoints(svc *v1.Service, pods []*v1.Pod) map[listing]bool {
	want := map[listing]bool{}
	for _, p := range pods {
		if !chosen(svc, p) || p.DeletionTimestamp != nil && !svc.Spec.PublishNotReadyAddresses {
			continue
		}
		ports := offered(svc, p)
		if len(svc.Spec.Ports) == 0 && svc.Spec.ClusterIP == v1.ClusterIPNone {
			ports = []string{""}
		}
		note(want, p, svc.Spec.IPFamilies[:1], ports, svc.Spec.PublishNotReadyAddresses || hasReady(p))
	}
	return want
}

func note(want map[listing]bool, p *v1.Pod, families []v1.IPFamily, ports []string, ready bool) {
	for _, ip := range p.Status.PodIPs {
		addr, family := netip.MustParseAddr(ip.IP), v1.IPv6Protocol
		if addr.Is4() {
			family = v1.IPv4Protocol
		}
		for _, port := range ports {
			if slices.Contains(families, family) {
				want[listing{addr.String(), p.Name + " " + string(p.UID), port, ready}] = true
			}
		}
	}
}

// offered are the ports of svc that p has.
func offered(svc *v1.Service, p *v1.Pod) []string {
	containers := slices.Clone(p.Spec.Containers)
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
			containers = append(containers, c)
		}
	}
	var ports []string
	for _, sp := range svc.Spec.Ports {
		if number := sought(sp, containers); number != 0 {
			ports = append(ports, spellPort(sp.Name, number, sp.Protocol))
		}
	}
	return ports
}

// sought is the number that a Service's port has in the first container that has it, 0 if none has.
func sought(sp v1.ServicePort, containers []v1.Container) int32 {
	if sp.TargetPort.Type == intstr.Int {
		return sp.TargetPort.IntVal
	}
	for _, c := range containers {
		for _, p := range c.Ports {
			if p.Name == sp.TargetPort.StrVal && p.Protocol == sp.Protocol {
				return p.ContainerPort
			}
		}
	}
	return 0
}
