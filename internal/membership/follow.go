package membership

import (
	"net/netip"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/annotations"
)

// Pods finds the Pods that following an address needs (viaduct.dev/follow).
type Pods struct {
	Named func(name string) *v1.Pod       // nil if there is none
	At    func(addr netip.Addr) []*v1.Pod // the Pods of any namespace that have the address
}

// orNone returns p with functions that find nothing instead of nil.
func (p Pods) orNone() Pods {
	if p.Named == nil {
		p.Named = func(string) *v1.Pod { return nil }
	}
	if p.At == nil {
		p.At = func(netip.Addr) []*v1.Pod { return nil }
	}
	return p
}

// PodOf returns the name of the Pod of namespace for which m was written. The Pod comes from m's targetRef, or from an
// earlier note (remembered maps an address to the Pod's name), or it is the Pod that has the address now. "" means that
// no such Pod is known.
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

// FollowPod returns m with the current address of the Pod called name; false if the address is the one that was
// written. If the Pod is gone and another Pod has the address now, the address gets no connections.
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

// Holds says whether pod has addresses of its own. A finished Pod has given its addresses back, and a Pod on its node's
// network (hostNetwork) never had any.
func Holds(pod *v1.Pod) bool {
	return !finished(pod) && !pod.Spec.HostNetwork && (pod.Status.PodIP != "" || len(pod.Status.PodIPs) > 0)
}

// Addresses returns the addresses of a Pod for which Holds is true, and none for other Pods.
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

// remember records on a mirror slice the Pods for which its addresses were written. After a Pod has moved, no other
// object has this information.
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

// noteHealth writes the results of the health checks into the slices of a plan.
func (o *Overrides) noteHealth(plan Plan) {
	if o == nil || len(o.Findings) == 0 {
		return
	}
	for _, s := range slices.Concat(plan.Create, plan.Update) {
		writeHealthStatus(s, o.Findings)
	}
}

// Remembered returns the Pods for which addresses were written, as recorded by remember in the slices of have.
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
