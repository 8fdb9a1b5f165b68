package membership

import (
	"net/netip"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/annotations"
)

// Pods is what following must know of a namespace's Pods.
type Pods struct {
	Named func(name string) *v1.Pod       // nil if there is none
	At    func(addr netip.Addr) []*v1.Pod // those that have the address, of any namespace
}

// orNone is p with functions that find nothing in place of nil.
func (p Pods) orNone() Pods {
	if p.Named == nil {
		p.Named = func(string) *v1.Pod { return nil }
	}
	if p.At == nil {
		p.At = func(netip.Addr) []*v1.Pod { return nil }
	}
	return p
}

// PodOf is the name of the Pod of namespace that m was written for: by its targetRef, or because that Pod has the
// address, or by what was known earlier (remembered: from an address to the Pod's name). "" if it is no Pod's, as far
// as is known.
func PodOf(m Member, namespace string, pods Pods, remembered map[netip.Addr]string) string {
	if m.Target.Kind == "Pod" && (m.Target.Namespace == "" || m.Target.Namespace == namespace) && m.Target.Name != "" {
		return m.Target.Name
	}
	if name, ok := remembered[m.Addr]; ok {
		return name
	}
	for _, pod := range pods.At(m.Addr) {
		if pod.Namespace == namespace {
			return pod.Name
		}
	}
	return ""
}

// FollowPod is m at the address where the Pod called name is now; false if it is where it was written. An address that
// another Pod has by now, while that of this name is no more, gets no connections.
func FollowPod(m Member, name string, pods Pods) (Member, bool) {
	pod := pods.Named(name)
	if pod == nil || !Holds(pod) {
		if len(pods.At(m.Addr)) > 0 {
			m.Ready, m.Serving, m.Why = false, false, PodGone
			return m, true
		}
		return m, false
	}
	addr, ok := addrOf(pod, familyOf(m.Addr))
	if !ok || addr == m.Addr {
		return m, false
	}
	m.Addr, m.Node, m.Why = addr, pod.Spec.NodeName, Followed
	m.Target = v1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
	return m, true
}

// Holds says whether pod has addresses that are its own: one that has ended has given them back, and one on the network
// of its node never had them.
func Holds(pod *v1.Pod) bool {
	return !finished(pod) && !pod.Spec.HostNetwork && (pod.Status.PodIP != "" || len(pod.Status.PodIPs) > 0)
}

// Addresses are those of a Pod that Holds them.
func Addresses(pod *v1.Pod) []netip.Addr {
	if pod == nil || !Holds(pod) {
		return nil
	}
	var out []netip.Addr
	for _, family := range []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol} {
		if addr, ok := addrOf(pod, family); ok {
			out = append(out, addr)
		}
	}
	return out
}

// remember notes on a mirror which Pods its addresses were written for: when they have moved, nothing else tells.
func (o *Overrides) remember(s *discovery.EndpointSlice) {
	if o == nil || len(o.Followed) == 0 {
		return
	}
	var notes []string
	for addr, pod := range o.Followed {
		notes = append(notes, addr.String()+"="+pod)
	}
	slices.Sort(notes)
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[annotations.Followed] = strings.Join(notes, ",")
}

// noteHealth writes on the slices of a plan what the checks found of the addresses in them.
func (o *Overrides) noteHealth(plan Plan) {
	if o == nil || len(o.Findings) == 0 {
		return
	}
	for _, s := range slices.Concat(plan.Create, plan.Update) {
		writeHealthStatus(s, o.Findings)
	}
}

// Remembered are the Pods that addresses were written for, by what have tells.
func Remembered(have []*discovery.EndpointSlice) map[netip.Addr]string {
	out := map[netip.Addr]string{}
	for _, s := range have {
		for note := range strings.SplitSeq(s.Annotations[annotations.Followed], ",") {
			at, pod, _ := strings.Cut(note, "=")
			if addr, err := netip.ParseAddr(at); err == nil && pod != "" {
				out[addr] = pod
			}
		}
	}
	return out
}
