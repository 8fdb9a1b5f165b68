package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/membership"
)

// Pod reports which of services have a Pod as an endpoint. services are all Services of the Pod's namespace.
func Pod(pod *v1.Pod, services []*v1.Service) Report {
	r := Report{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}
	r.About = append(r.About, fmt.Sprintf("phase %s, address %s, node %s", pod.Status.Phase, cmp.Or(pod.Status.PodIP,
		"none"), cmp.Or(pod.Spec.NodeName, "none")))
	var in []string
	var out []ServiceLine
	for _, svc := range slices.SortedFunc(slices.Values(services), func(a, b *v1.Service) int {
		return cmp.Compare(a.Name,
			b.Name)
	}) {
		if !membership.HasSelector(svc) || svc.Spec.Type == v1.ServiceTypeExternalName {
			continue
		}
		v := membership.Judge(svc, pod)
		if why := membership.WhyNot(svc, pod); why != "" {
			v = membership.Verdict{Why: why}
		}
		line := ServiceLine{Name: svc.Name, Listed: v.In, Ready: v.In && v.Ready, Reason: string(v.Why),
			Sentence: v.Why.Sentence()}
		if v.Why == membership.NotSelected {
			why, _ := miss(svc.Spec.Selector, pod.Labels)
			if why == "" {
				continue
			}
			line.Sentence = "does not match: the selector says " + selectorText(svc) + ", the Pod says " + why
		}
		if v.Why == membership.NotReady {
			line.Sentence += whyNotReady(pod)
		}
		r.Services = append(r.Services, line)
		if line.Ready {
			in = append(in, svc.Name)
		} else {
			out = append(out, line)
		}
	}
	r.Healthy = len(in) > 0
	switch {
	case len(in) > 0:
		r.Verdict = fmt.Sprintf("It gets connections by %s.", strings.Join(prefixed("service ", in), ", "))
	case len(out) > 0:
		slices.SortStableFunc(out, func(a, b ServiceLine) int { return rank(a) - rank(b) })
		r.Verdict = fmt.Sprintf("It gets no connections, not by service %s: it %s.", out[0].Name, out[0].Sentence)
		r.problem(StagePods, r.Verdict)
	default:
		r.Verdict = fmt.Sprintf("It gets no connections: no Service of namespace %s selects it, nor nearly.", pod.Namespace)
		r.problem(StageSelector, r.Verdict)
	}
	return r
}

func prefixed(prefix string, list []string) (out []string) {
	for _, s := range list {
		out = append(out, prefix+s)
	}
	return out
}

func selectorText(svc *v1.Service) string {
	var parts []string
	for k, v := range svc.Spec.Selector {
		parts = append(parts, k+"="+v)
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// rank orders the Services by how likely the user means them: first a Service that lists the Pod, then one that selects
// it, then the others.
func rank(s ServiceLine) int {
	switch {
	case s.Listed:
		return 0
	case s.Reason != string(membership.NotSelected):
		return 1
	}
	return 2
}
