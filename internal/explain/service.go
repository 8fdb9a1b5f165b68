package explain

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"viaduct/internal/annotations"
	"viaduct/internal/membership"
	"viaduct/internal/routing"
)

// Service reports on w.Service.
func Service(w Snapshot) Report {
	r := Report{Kind: "Service", Namespace: w.Service.Namespace, Name: w.Service.Name, About: about(w.Service)}
	if w.Service.Spec.Type == v1.ServiceTypeExternalName {
		r.Healthy = true
		r.Verdict = fmt.Sprintf("It only stands for the name %s: nobody is behind it, and no connection passes here.",
			w.Service.Spec.ExternalName)
		return r
	}
	if membership.HasSelector(w.Service) {
		r.selected(&w)
		r.written(&w)
	} else {
		r.manual(&w)
	}
	r.weights(&w)
	r.unlisted(&w)
	r.proxied(&w)
	r.probed(&w)
	r.conclude()
	return r
}

// about describes the Service.
func about(svc *v1.Service) (lines []string) {
	where := strings.Join(svc.Spec.ClusterIPs, ", ")
	switch {
	case svc.Spec.Type == v1.ServiceTypeExternalName:
		where = svc.Spec.ExternalName
	case svc.Spec.ClusterIP == v1.ClusterIPNone:
		where = "headless: names lead straight to the endpoints"
	}
	lines = append(lines, fmt.Sprintf("type %s, %s", cmp.Or(svc.Spec.Type, v1.ServiceTypeClusterIP), where))
	for _, p := range svc.Spec.Ports {
		lines = append(lines, portText(p))
	}
	switch {
	case membership.HasSelector(svc):
		lines = append(lines, "selector "+labels.FormatLabels(svc.Spec.Selector))
	case svc.Spec.Type == v1.ServiceTypeExternalName:
	case svc.Annotations[annotations.Backends] != "":
		lines = append(lines, "no selector: its addresses are what the names of "+annotations.Backends+" stand for")
	default:
		lines = append(lines, "no selector: its addresses are written by hand")
	}
	for _, key := range []string{annotations.HealthCheck, annotations.WhenAllDown, annotations.Backends,
		annotations.Follow, annotations.Policy, annotations.SlowStart} {
		if value, ok := svc.Annotations[key]; ok {
			lines = append(lines, key+": "+value)
		}
	}
	if svc.Spec.ExternalTrafficPolicy == v1.ServiceExternalTrafficPolicyLocal {
		lines = append(lines, "externalTrafficPolicy Local: connections from outside stay on the node where they arrive")
	}
	if p := svc.Spec.InternalTrafficPolicy; p != nil && *p == v1.ServiceInternalTrafficPolicyLocal {
		lines = append(lines, "internalTrafficPolicy Local: connections of a node stay on it")
	}
	return lines
}

func portText(p v1.ServicePort) string {
	target := p.TargetPort.String()
	if target == "0" || target == "" {
		target = fmt.Sprint(p.Port)
	}
	text := fmt.Sprintf("port %d/%s → %s", p.Port, cmp.Or(p.Protocol, v1.ProtocolTCP), target)
	if p.Name != "" {
		text = fmt.Sprintf("port %q %d/%s → %s", p.Name, p.Port, cmp.Or(p.Protocol, v1.ProtocolTCP), target)
	}
	if p.NodePort != 0 {
		text += fmt.Sprintf(", node port %d", p.NodePort)
	}
	return text
}

// unlisted finds ports of the Service that no slice has although there are endpoints: their port names or protocols
// differ.
func (r *Report) unlisted(w *Snapshot) {
	if membership.HasSelector(w.Service) {
		return // a missing port of Pods is already reported
	}
	for _, sp := range w.Service.Spec.Ports {
		var other []string
		found := false
		for _, s := range routing.Effective(w.Slices) {
			for _, p := range s.Ports {
				name, proto := deref(p.Name), cmp.Or(deref(p.Protocol), v1.ProtocolTCP)
				switch wants := cmp.Or(sp.Protocol, v1.ProtocolTCP); {
				case name == sp.Name && proto == wants:
					found = true
				case p.Port != nil && proto != wants:
					other = append(other, fmt.Sprintf("%q (%d/%s)", name, *p.Port, proto))
				case p.Port != nil:
					other = append(other, fmt.Sprintf("%q (%d)", name, *p.Port))
				}
			}
		}
		if !found && len(other) > 0 {
			slices.Sort(other)
			r.problem(StageAddresses, fmt.Sprintf("No endpoints for port %d: the Service calls it %q, and the addresses have "+
				"only %s. The names must be the same, and the protocols.",
				sp.Port, sp.Name, strings.Join(slices.Compact(other), ", ")))
		}
	}
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// probed reports the results of the probes.
func (r *Report) probed(w *Snapshot) {
	var dead []string
	for at, answer := range w.Probes {
		line := ProbeLine{Address: at.String(), Answer: cmp.Or(answer, "answers"), OK: answer == ""}
		r.Probes = append(r.Probes, line)
		if answer != "" {
			dead = append(dead, fmt.Sprintf("%s (%s)", at, answer))
		}
	}
	slices.SortFunc(r.Probes, func(a, b ProbeLine) int { return cmp.Compare(a.Address, b.Address) })
	slices.Sort(dead)
	switch {
	case len(dead) == 0:
	case len(dead) == len(w.Probes):
		r.problem(StageProbe, fmt.Sprintf("No address that gets connections answers: %s.", few(dead)))
	default:
		r.problem(StageProbe, fmt.Sprintf("%s of %d addresses that get connections: %s.",
			plural(len(dead), "address does not answer,", "addresses do not answer,"), len(w.Probes), few(dead)))
	}
}

// Ready returns the addresses that get TCP connections. These are the addresses to probe.
func Ready(w Snapshot) (list []netip.AddrPort) {
	for _, s := range routing.Effective(w.Slices) {
		for _, m := range membership.OfSlice(s) {
			for _, p := range m.Ports {
				if m.Ready && p.Protocol == v1.ProtocolTCP {
					list = append(list, netip.AddrPortFrom(m.Addr, uint16(p.Number)))
				}
			}
		}
	}
	slices.SortFunc(list, netip.AddrPort.Compare)
	return slices.Compact(list)
}

// conclude sets Healthy and the Verdict.
func (r *Report) conclude() {
	r.Healthy = len(r.Problems) == 0
	if !r.Healthy {
		r.Verdict = capital(r.Problems[0].Sentence)
		if len(r.Notes) > 0 && r.Problems[0].Stage == StageProbe {
			r.Verdict += " " + capital(r.Notes[0]) + "."
		}
		if n := len(r.Problems) - 1; n > 0 {
			r.Verdict += fmt.Sprintf(" (And %s, above.)", plural(n, "more problem", "more problems"))
		}
		return
	}
	if len(r.Addresses) > 0 {
		r.Verdict = tally(len(r.Addresses), count(r.Addresses, func(a AddressLine) bool { return a.Ready }), "address gets",
			"addresses get")
		return
	}
	r.Verdict = tally(len(r.Pods), r.ready(), "Pod gets", "Pods get")
	for _, p := range r.Pods {
		if !p.Ready {
			r.Verdict += fmt.Sprintf(" %s does not: it %s.", p.Name, p.Sentence)
			break
		}
	}
}

func count[T any](list []T, is func(T) bool) (n int) {
	for _, v := range list {
		if is(v) {
			n++
		}
	}
	return n
}

func tally(all, ready int, one, many string) string {
	if all == ready {
		return fmt.Sprintf("All is well: %s connections.", plural(ready, one, many))
	}
	return fmt.Sprintf("It works: %s connections, of %d.", plural(ready, one, many), all)
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
