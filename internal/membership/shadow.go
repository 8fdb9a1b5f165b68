package membership

import (
	"maps"
	"net/netip"
	"slices"

	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/annotations"
)

// OfSlice returns the Members that a person wrote into an EndpointSlice, in its order. It leaves out everything that is
// not an IP address of the slice's family.
func OfSlice(s *discovery.EndpointSlice) []Member {
	members := make([]Member, 0, len(s.Endpoints))
	ports := portsOfSlice(s)
	for i := range s.Endpoints {
		if m, ok := writtenMember(s, &s.Endpoints[i]); ok {
			m.Ports = ports
			members = append(members, m)
		}
	}
	return members
}

// writtenMember returns one endpoint that a person wrote. A condition that is not set has the default of the API.
func writtenMember(s *discovery.EndpointSlice, e *discovery.Endpoint) (Member, bool) {
	if len(e.Addresses) == 0 {
		return Member{}, false
	}
	addr, err := netip.ParseAddr(e.Addresses[0])
	if err != nil || addressType(familyOf(addr)) != s.AddressType {
		return Member{}, false
	}
	said := func(c *bool, otherwise bool) bool {
		if c == nil {
			return otherwise
		}
		return *c
	}
	m := Member{Addr: addr.Unmap(), Ready: said(e.Conditions.Ready, true), Terminating: said(e.Conditions.Terminating,
		false), Why: ByHand}
	m.Serving = said(e.Conditions.Serving, m.Ready)
	if !m.Ready {
		m.Why = ByHandNotReady
	}
	if e.TargetRef != nil {
		m.Target = *e.TargetRef
	}
	return m, true
}

// PlanShadows plans the shadow slices. A shadow slice repeats one slice that a person wrote (written), with what is
// known of its addresses, and is used instead of it. have are the existing shadow slices. A written slice without such
// knowledge needs no shadow slice.
func PlanShadows(written, have []*discovery.EndpointSlice, known *Overrides) (plan Plan) {
	held := map[string]*discovery.EndpointSlice{}
	for _, s := range slices.SortedFunc(slices.Values(have), compareNames) {
		of := s.Annotations[annotations.Shadows]
		switch {
		case s.DeletionTimestamp != nil:
		case held[of] != nil:
			plan.Delete = append(plan.Delete, s)
		default:
			held[of] = s
		}
	}
	for _, w := range slices.SortedFunc(slices.Values(written), compareNames) {
		next, amended := shadowSlice(w, known)
		was := held[w.Name]
		if !amended || w.DeletionTimestamp != nil || was != nil && was.AddressType != w.AddressType {
			continue // an existing shadow slice stays in held and is deleted below
		}
		delete(held, w.Name)
		switch {
		case was == nil:
			plan.Create = append(plan.Create, next)
		case !sameMirror(was, next) || !slices.Equal(portsOfSlice(was), portsOfSlice(next)):
			updated := was.DeepCopy()
			updated.Labels, updated.Annotations, updated.OwnerReferences = next.Labels, next.Annotations, next.OwnerReferences
			updated.Endpoints, updated.Ports = next.Endpoints, next.Ports
			plan.Update = append(plan.Update, updated)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(held)) {
		plan.Delete = append(plan.Delete, held[name])
	}
	known.noteHealth(plan)
	return plan
}

// shadowSlice repeats w with what is known of its endpoints; false if nothing is known.
func shadowSlice(w *discovery.EndpointSlice, known *Overrides) (*discovery.EndpointSlice, bool) {
	labels, notes := maps.Clone(w.Labels), map[string]string{annotations.Shadows: w.Name}
	labels[discovery.LabelManagedBy] = ShadowManagedBy
	next := &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: generateName(w.Name), Namespace: w.Namespace, Labels: labels, Annotations: notes,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(w,
				discovery.SchemeGroupVersion.WithKind("EndpointSlice"))},
		},
		AddressType: w.AddressType, Ports: w.Ports,
	}
	any := false
	for i := range w.Endpoints {
		e := *w.Endpoints[i].DeepCopy()
		if m, ok := writtenMember(w, &e); ok {
			if m, changed := known.Of(m); changed {
				any = true
				e.Addresses[0] = m.Addr.String()
				e.Conditions.Ready, e.Conditions.Serving = &m.Ready, &m.Serving
			}
		}
		next.Endpoints = append(next.Endpoints, e)
	}
	return next, any
}
