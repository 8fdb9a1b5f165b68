package membership

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/annotations"
)

// A Verdict says whether a Pod is behind a Service, and why.
type Verdict struct {
	In          bool   // the Pod is listed
	Ready       bool   // the Pod gets new connections
	Serving     bool   // the Pod's Ready condition is True, even if it is terminating
	Terminating bool   // the Pod is being deleted
	Why         Reason // the reason for In and Ready together
}

// Judge says whether pod is behind svc, and why. All other functions of this package use this verdict. OfPods also
// checks, for each family and port, whether the Pod has an address of that family and a port of the right name.
func Judge(svc *v1.Service, pod *v1.Pod) Verdict {
	if why := keptOut(svc, pod); why != "" {
		return Verdict{Why: why}
	}
	v := Verdict{In: true, Serving: isReady(pod), Terminating: pod.DeletionTimestamp != nil}
	v.Ready = svc.Spec.PublishNotReadyAddresses || v.Serving && !v.Terminating
	switch {
	case v.Serving && !v.Terminating:
		v.Why = Ready
	case v.Ready:
		v.Why = PublishedNotReady
	case v.Terminating:
		v.Why = Terminating
	default:
		v.Why = NotReady
	}
	return v
}

// keptOut returns the first reason why pod is not behind svc, or "".
func keptOut(svc *v1.Service, pod *v1.Pod) Reason {
	switch {
	case svc.Spec.Type == v1.ServiceTypeExternalName:
		return External
	case !HasSelector(svc):
		return NoSelector
	case svc.Namespace != pod.Namespace:
		return OtherNamespace
	case !selects(svc.Spec.Selector, pod.Labels):
		return NotSelected
	case finished(pod):
		return Finished
	case pod.Status.PodIP == "" && len(pod.Status.PodIPs) == 0:
		return NoAddress
	}
	return ""
}

// HasSelector says whether svc chooses Pods. An empty selector counts as none, because the API stores both in the same
// way.
func HasSelector(svc *v1.Service) bool { return len(svc.Spec.Selector) > 0 }

func selects(selector, labels map[string]string) bool {
	for k, want := range selector {
		if got, ok := labels[k]; !ok || got != want {
			return false
		}
	}
	return true
}

// NearlySelects says whether a person might think that svc selects pod. The selector does not match, but pod has a
// label whose key is in the selector (upper and lower case are the same), with any value.
func NearlySelects(svc *v1.Service, pod *v1.Pod) bool {
	if svc.Namespace != pod.Namespace || selects(svc.Spec.Selector, pod.Labels) {
		return false
	}
	for k := range pod.Labels {
		for want := range svc.Spec.Selector {
			if strings.EqualFold(k, want) {
				return true
			}
		}
	}
	return false
}

func isReady(pod *v1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodReady {
			return c.Status == v1.ConditionTrue
		}
	}
	return false
}

// Matters says whether a change of a Pod can affect any Service. A created or deleted Pod always matters (before or
// after is nil).
func Matters(before, after *v1.Pod) bool {
	if before == nil || after == nil {
		return true
	}
	return !maps.Equal(before.Labels, after.Labels) ||
		before.Annotations[annotations.Weight] != after.Annotations[annotations.Weight] ||
		isReady(before) != isReady(after) ||
		(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil) ||
		finished(before) != finished(after) ||
		before.Spec.NodeName != after.Spec.NodeName ||
		before.Spec.Hostname != after.Spec.Hostname || before.Spec.Subdomain != after.Spec.Subdomain ||
		before.UID != after.UID ||
		before.Status.PodIP != after.Status.PodIP || !slices.Equal(before.Status.PodIPs, after.Status.PodIPs)
}

func finished(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}

// A Member is one address of a Service. Two Members are the same if their Ports are equal and all other fields are
// equal with ==. Endpoints and slices built from Members share memory with them, so Members must not be changed after
// that.
type Member struct {
	Addr     netip.Addr
	Ports    []Port // the ports of the Service that it offers, sorted; port names are already resolved to numbers
	Node     string // "" if it is on no known node
	Zone     string
	Hostname string             // its host name in DNS, for a Pod that asks for one
	Target   v1.ObjectReference // the Pod, or the targetRef that a person wrote; zero if there is none

	// The zone and node whose clients should use it first, set by AddHints; "" means no hint.
	HintZone, HintNode string

	Ready, Serving, Terminating bool
	Why                         Reason

	Weight     uint32 // its share of the connections if Weighted, from 0 to annotations.MaxWeight
	Weighted   bool   // Weight is not annotations.DefaultWeight
	ReadySince int64  // for a Service with a slow start, in seconds of the Unix clock; 0: not known
}

// sortMembers sorts members by address, target, readiness and ports: there is only one order.
func sortMembers(members []Member) {
	sorted := make([]*Member, len(members)) // pointers are sorted, because a Member is large
	for i := range members {
		sorted[i] = &members[i]
	}
	if slices.IsSortedFunc(sorted, compareMembers) {
		return
	}
	slices.SortFunc(sorted, compareMembers)
	out := make([]Member, len(members))
	for i, m := range sorted {
		out[i] = *m
	}
	copy(members, out)
}

func compareMembers(a, b *Member) int {
	if c := a.Addr.Compare(b.Addr); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(a.Target.UID, b.Target.UID),
		cmp.Compare(a.Target.Namespace, b.Target.Namespace),
		cmp.Compare(a.Target.Name, b.Target.Name),
		slices.CompareFunc(a.Ports, b.Ports, comparePorts),
		cmp.Compare(a.Node, b.Node),
		cmp.Compare(a.Hostname, b.Hostname),
		cmp.Compare(a.Why, b.Why),
	)
}

// NodeZone returns the zone of a node, "" if the node has none; false if there is no such node.
type NodeZone func(node string) (zone string, ok bool)

// OfPods returns the Members of svc among pods, for all families of svc, sorted. nodes may be nil if no zone is known.
func OfPods(svc *v1.Service, pods []*v1.Pod, nodes NodeZone) []Member {
	families := Families(svc)
	members := make([]Member, 0, len(pods)*len(families))
	resolver := resolver{svc: svc}
	for _, pod := range pods {
		v := Judge(svc, pod)
		if !v.In {
			continue
		}
		ports := resolver.ports(pod)
		for _, family := range families {
			if addr, ok := addrOf(pod, family); ok {
				members = append(members, ofPod(svc, pod, v, addr, ports, nodes))
			}
		}
	}
	sortMembers(members)
	return members
}

func ofPod(svc *v1.Service, pod *v1.Pod, v Verdict, addr netip.Addr, ports []Port, nodes NodeZone) Member {
	m := Member{
		Addr: addr, Ports: ports, Node: pod.Spec.NodeName,
		Target: v1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Ready:  v.Ready, Serving: v.Serving, Terminating: v.Terminating, Why: v.Why,
	}
	if pod.Spec.Hostname != "" && pod.Spec.Subdomain == svc.Name {
		m.Hostname = pod.Spec.Hostname
	}
	if nodes != nil && m.Node != "" {
		m.Zone, _ = nodes(m.Node)
	}
	m.balance(svc, pod)
	return m
}

// Families returns the address families for which svc has endpoints, the primary family first. A Service that was
// stored before the field existed has the family of its ClusterIP; a headless one has both families.
func Families(svc *v1.Service) []v1.IPFamily {
	if len(svc.Spec.IPFamilies) > 0 {
		return svc.Spec.IPFamilies
	}
	if addr, err := netip.ParseAddr(svc.Spec.ClusterIP); err == nil {
		return []v1.IPFamily{familyOf(addr)}
	}
	return []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol}
}

func familyOf(addr netip.Addr) v1.IPFamily {
	if addr.Is4() || addr.Is4In6() {
		return v1.IPv4Protocol
	}
	return v1.IPv6Protocol
}

// addrOf returns the Pod's first address of a family.
func addrOf(pod *v1.Pod, family v1.IPFamily) (netip.Addr, bool) {
	if len(pod.Status.PodIPs) == 0 {
		return parse(pod.Status.PodIP, family)
	}
	for _, ip := range pod.Status.PodIPs {
		if addr, ok := parse(ip.IP, family); ok {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

func parse(ip string, family v1.IPFamily) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(ip)
	if err != nil || familyOf(addr) != family {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

// WhyNot says why a Pod is not listed; it completes Judge for questions of a user. A Pod that Judge accepts is still
// not listed if it has no address of the right family or none of the ports. WhyNot returns "" if the Pod is listed.
func WhyNot(svc *v1.Service, pod *v1.Pod) Reason {
	if v := Judge(svc, pod); !v.In {
		return v.Why
	}
	hasFamily := slices.ContainsFunc(Families(svc), func(f v1.IPFamily) bool { _, ok := addrOf(pod, f); return ok })
	if !hasFamily {
		return OtherFamily
	}
	if ports, missing := ResolvePorts(svc, pod); len(ports) == 0 && len(missing) > 0 {
		return NoSuchPort
	}
	return ""
}
