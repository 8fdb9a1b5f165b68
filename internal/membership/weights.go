package membership

import (
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/annotations"
)

// balance sets what the balancing annotations of pod and svc say about a Member: its weight and, for a Service with a
// slow start, the time since which it is ready.
func (m *Member) balance(svc *v1.Service, pod *v1.Pod) {
	if _, given := pod.Annotations[annotations.Weight]; given {
		m.Weight, _ = annotations.PodWeight(pod)
		m.Weighted = m.Weight != annotations.DefaultWeight
	}
	if !m.Ready || svc.Annotations[annotations.SlowStart] == "" {
		return
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodReady && c.Status == v1.ConditionTrue {
			m.ReadySince = c.LastTransitionTime.Unix()
		}
	}
}

// invalidWeights returns an event for each Pod whose weight annotation is invalid. Such an annotation counts as not
// written.
func invalidWeights(pods []*v1.Pod) (events []Event) {
	for _, pod := range pods {
		if errs := annotations.OfPod(pod); len(errs) > 0 {
			events = append(events, InvalidAnnotations{ObjectKey{KindPod, pod.Name}, errs})
		}
	}
	return events
}

// balancingNotes returns the balancing annotations that Slim keeps of a Pod; nil if there are none.
func balancingNotes(pod *v1.Pod) map[string]string {
	value, ok := pod.Annotations[annotations.Weight]
	if !ok {
		return nil
	}
	return map[string]string{annotations.Weight: value}
}

// addBalancing completes a plan: every slice gets the weights of its Pods and, for a slow start, the times since which
// they are ready (annotations.Weights, annotations.ReadySince). have are the slices before the plan. A slice that the
// plan does not change is updated if only these annotations differ.
func (p *Plan) addBalancing(members []Member, have []*discovery.EndpointSlice) {
	weights, since := map[netip.Addr]uint32{}, map[netip.Addr]int64{}
	for i := range members {
		m := &members[i]
		if m.Weighted {
			weights[m.Addr] = m.Weight
		}
		if m.ReadySince != 0 {
			since[m.Addr] = m.ReadySince
		}
	}
	for _, list := range [][]*discovery.EndpointSlice{p.Create, p.Update} {
		for _, s := range list {
			noteBalancing(s, weights, since)
		}
	}
	for _, s := range have {
		planned := func(o *discovery.EndpointSlice) bool { return o.Name == s.Name }
		if s.DeletionTimestamp != nil || slices.ContainsFunc(p.Update, planned) || slices.ContainsFunc(p.Delete, planned) {
			continue
		}
		if len(weights)+len(since) == 0 && s.Annotations[annotations.Weights] == "" &&
			s.Annotations[annotations.ReadySince] == "" {
			continue
		}
		next := s.DeepCopy()
		if noteBalancing(next, weights, since) {
			p.Update = append(p.Update, next)
		}
	}
}

// noteBalancing sets the balancing annotations of one slice for the addresses in it. It reports whether they changed.
func noteBalancing(s *discovery.EndpointSlice, weights map[netip.Addr]uint32, since map[netip.Addr]int64) bool {
	changed := setNote(s, annotations.Weights, annotations.FormatWeights(inSlice(s, weights)))
	return setNote(s, annotations.ReadySince, annotations.FormatReadySince(inSlice(s, since))) || changed
}

// inSlice returns the values for the addresses in s.
func inSlice[T any](s *discovery.EndpointSlice, values map[netip.Addr]T) map[netip.Addr]T {
	if len(values) == 0 {
		return nil
	}
	part := map[netip.Addr]T{}
	for i := range s.Endpoints {
		addr, err := netip.ParseAddr(s.Endpoints[i].Addresses[0])
		if v, ok := values[addr]; ok && err == nil {
			part[addr] = v
		}
	}
	return part
}

// setNote sets an annotation, or removes it if value is empty. It reports whether the annotation changed.
func setNote(s *discovery.EndpointSlice, key, value string) bool {
	if s.Annotations[key] == value {
		return false
	}
	if value == "" {
		delete(s.Annotations, key)
		return true
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[key] = value
	return true
}
