package membership

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"viaduct/internal/annotations"
)

// manual holds the state while a Decision about one Service without a selector is made: what people wrote and asked
// for, and what is known of each address.
type manual struct {
	in         *Inputs
	out        *Decision
	endpoints  *v1.Endpoints              // nil: no Endpoints to mirror
	written    []*discovery.EndpointSlice // slices that people wrote, sorted by name
	named      []Member                   // the addresses that names resolve to
	service    annotations.Settings
	combined   annotations.Settings  // of the Service and its Endpoints
	remembered map[netip.Addr]string // address → the Pod for which it was written, as stored in the mirrored slices
	followed   map[netip.Addr]string // the same for the addresses that are followed now
	findings   map[netip.Addr]Finding
	verdicts   map[netip.Addr]HealthVerdict
}

// decideManual decides for a Service without a selector, and cleans up after a Service that is gone.
func decideManual(in *Inputs, d *Decision) {
	// Objects that were made for a selector must not stay: connections would still be sent to its Pods.
	if in.Controllers.Endpoints && in.Endpoints != nil && ManagesEndpoints(in.Endpoints) {
		d.Endpoints = nil
	}
	if in.Controllers.Slices {
		d.deleteAll(in.Slices, SliceManagedBy)
	}
	switch {
	case !in.Controllers.Mirror:
	case in.Service == nil:
		d.deleteAll(in.Slices, MirrorManagedBy, ShadowManagedBy, NamesManagedBy)
	default:
		in.Lookups.Pods = in.Lookups.Pods.orNone()
		m := &manual{in: in, out: d, remembered: Remembered(in.Slices), followed: map[netip.Addr]string{},
			findings: map[netip.Addr]Finding{}}
		m.read()
		m.check()
		m.list()
		m.plan()
	}
}

// read reads the settings and what people wrote.
func (m *manual) read() {
	svc := m.in.Service
	settings, errs := annotations.OfService(svc)
	m.refused(ObjectKey{KindService, svc.Name}, errs)
	m.service, m.combined = settings, settings
	if Mirrored(m.in.Endpoints, svc) {
		m.endpoints = m.in.Endpoints
		own, errs := annotations.OfEndpoints(m.endpoints)
		m.refused(ObjectKey{KindEndpoints, m.endpoints.Name}, errs)
		m.combined = settings.Or(own)
		m.foreign()
	}
	for _, s := range m.in.Slices {
		if WrittenByHand(s) {
			m.written = append(m.written, s)
		}
	}
	slices.SortFunc(m.written, compareNames)
	m.resolve()
}

func (m *manual) refused(object ObjectKey, errs field.ErrorList) {
	if len(errs) > 0 {
		m.out.Events = append(m.out.Events, InvalidAnnotations{object, errs})
	}
}

// foreign finds the addresses of the Endpoints that belong to Pods of other namespaces.
func (m *manual) foreign() {
	var list []ForeignAddress
	for _, w := range OfEndpoints(m.endpoints.Subsets) {
		if pods := m.in.Lookups.Pods.At(w.Addr); len(pods) > 0 && !anyOf(pods, m.in.Service.Namespace) {
			list = append(list, ForeignAddress{w.Addr, pods[0].Namespace, pods[0].Name})
		}
	}
	if len(list) > 0 {
		m.out.Events = append(m.out.Events, ForeignAddresses{m.endpoints.Name, list})
	}
}

func anyOf(pods []*v1.Pod, namespace string) bool {
	return slices.ContainsFunc(pods, func(pod *v1.Pod) bool { return pod.Namespace == namespace })
}

// resolve finds the addresses of the Service's backends (viaduct.dev/backends).
func (m *manual) resolve() {
	if len(m.service.Backends) == 0 {
		return
	}
	if m.in.Lookups.Answer == nil {
		m.named = m.storedNames()
		return
	}
	var problems []BackendProblem
	var addrs []Named
	for _, b := range m.service.Backends {
		if addr, ok := b.Addr(); ok {
			addrs = append(addrs, Named{Addr: addr, Port: b.Port})
			continue
		}
		m.out.Names = append(m.out.Names, b)
		answer, asked := m.in.Lookups.Answer(b)
		if asked {
			problems = append(problems, problemsOf(b.Host, answer)...)
		}
		for _, at := range answer.Addrs {
			addrs = append(addrs, Named{Addr: at.Addr(), Port: at.Port()})
		}
	}
	fit := addrs[:0]
	for _, a := range addrs {
		if why := m.unfit(a.Addr); why != "" {
			problems = append(problems, BackendProblem{Addr: a.Addr, Unfit: why})
			continue
		}
		fit = append(fit, a)
	}
	if len(problems) > 0 {
		m.out.Events = append(m.out.Events, UnresolvedBackends{m.in.Service.Name, problems})
	}
	m.named = OfNames(m.in.Service, fit)
}

func problemsOf(host string, a NameAnswer) (list []BackendProblem) {
	if a.Err != "" {
		list = append(list, BackendProblem{Host: host, Err: a.Err, Kept: len(a.Addrs)})
	}
	if a.Dropped > 0 {
		list = append(list, BackendProblem{Host: host, Dropped: a.Dropped})
	}
	return list
}

// unfit returns why an address that a name resolves to is not used, in words that follow "it"; "" if the address is
// used. An author of Services is often not allowed to write Endpoints. So a name must not lead to an address that this
// author could not write there (CVE-2021-25740).
func (m *manual) unfit(addr netip.Addr) string {
	if rule := Unfit(m.in.Service, addr); rule != "" {
		return rule
	}
	pods := m.in.Lookups.Pods.At(addr)
	switch {
	case anyOf(pods, m.in.Service.Namespace):
		return ""
	case len(pods) > 0:
		return fmt.Sprintf("is the address of Pod %s/%s", pods[0].Namespace, pods[0].Name)
	case m.in.Lookups.NodeOf == nil:
		return ""
	}
	if node := m.in.Lookups.NodeOf(addr); node != "" {
		return fmt.Sprintf("is in the Pod range of node %s, and no Pod of this namespace has it", node)
	}
	return ""
}

// storedNames returns the addresses in the stored slices as the addresses that the names resolve to.
func (m *manual) storedNames() (members []Member) {
	for _, s := range KeptBy(m.in.Slices, NamesManagedBy) {
		for _, named := range OfSlice(s) {
			named.Ready, named.Serving, named.Why = true, true, ByName
			members = append(members, named)
		}
	}
	sortMembers(members)
	return members
}

// check collects the targets to check, and computes the verdict on each address from the findings of its targets.
func (m *manual) check() {
	stored := StoredFindings(m.in.Slices)
	m.out.Targets = map[HealthTarget]bool{}
	if m.endpoints != nil && m.combined.Check != nil {
		for _, w := range OfEndpoints(m.endpoints.Subsets) {
			now, _ := m.follow(w)
			m.find(now, m.combined.Check, stored)
		}
	}
	refuse := m.combined.AllDown
	for _, s := range m.written {
		own, errs := annotations.OfSlice(s)
		m.refused(ObjectKey{KindEndpointSlice, s.Name}, errs)
		settings := m.service.Or(own)
		refuse = cmp.Or(refuse, settings.AllDown)
		for _, w := range OfSlice(s) {
			m.find(w, settings.Check, stored)
		}
	}
	for _, named := range m.named {
		m.find(named, m.service.Check, stored)
	}
	var allDown []v1.IPFamily
	m.verdicts, allDown = EvaluateHealth(m.findings, refuse == annotations.Refuse)
	if len(allDown) > 0 {
		m.out.Events = append(m.out.Events, AllEndpointsDown{m.in.Service.Name, allDown, refuse == annotations.Refuse})
	}
}

// find adds the targets of an address and their findings. An address with several targets is Down if one target is
// Down. An address that its author marked as not ready is not checked. An address without a port that can be checked
// stays Unchecked, which does not count as Down.
func (m *manual) find(w Member, check *annotations.Check, stored map[netip.Addr]Finding) {
	if !w.Ready {
		return
	}
	found := m.findings[w.Addr]
	if check != nil {
		before, known := m.before(w.Addr, stored)
		targets := targetsOf(w, check)
		for _, t := range targets {
			m.out.Targets[t] = !known || before.State != Down
			if next := m.findingOf(t, before); worse(next, found) {
				found = next
				if len(targets) > 1 && found.Cause != "" {
					found.Cause = fmt.Sprintf("port %d: %s", t.Addr.Port(), found.Cause)
				}
			}
		}
	}
	m.findings[w.Addr] = found
}

func worse(a, b Finding) bool { return a.State > b.State }

// before returns the state of an address before this process checks it: the state in the Service's own slices, or else
// the state that the slices of all Services had when the controller started.
func (m *manual) before(addr netip.Addr, stored map[netip.Addr]Finding) (Finding, bool) {
	if f, ok := stored[addr]; ok {
		return f, true
	}
	if m.in.Lookups.Inherited != nil {
		if state := m.in.Lookups.Inherited(addr); state != Unchecked {
			return Finding{State: state}, true
		}
	}
	return Finding{}, false
}

// findingOf returns what is known of a target. If the checker's first result confirms the earlier state, the checker
// does not know when and why that state began; the slices do.
func (m *manual) findingOf(t HealthTarget, before Finding) Finding {
	if m.in.Lookups.Finding == nil {
		return before
	}
	f, ok := m.in.Lookups.Finding(t)
	if !ok {
		return before
	}
	if f.State == before.State && f.Since.IsZero() {
		f.Since = before.Since
		f.Cause = cmp.Or(f.Cause, before.Cause)
	}
	return f
}

// follow returns w at the current address of the Pod for which it was written, if the author asks for that
// (viaduct.dev/follow).
func (m *manual) follow(w Member) (Member, bool) {
	if !m.combined.Follow {
		return w, false
	}
	name := PodOf(w, m.in.Service.Namespace, m.in.Lookups.Pods, m.remembered)
	if name == "" {
		return w, false
	}
	if w.Target.Kind != "Pod" {
		m.followed[w.Addr] = name
	}
	return FollowPod(w, name, m.in.Lookups.Pods)
}

// ofEndpoints updates an address of the Endpoints: its Pod may have moved, and a health check may have a verdict.
func (m *manual) ofEndpoints(w Member) (Member, bool) {
	w, moved := m.follow(w)
	w, judged := WithHealth(w, m.verdicts)
	return w, moved || judged
}

// ofSlice is ofEndpoints for addresses that do not follow a Pod.
func (m *manual) ofSlice(w Member) (Member, bool) { return WithHealth(w, m.verdicts) }

// list adds every address to the Decision, with what is decided about it.
func (m *manual) list() {
	if m.endpoints != nil {
		for _, w := range OfEndpoints(m.endpoints.Subsets) {
			m.add(w, ObjectKey{KindEndpoints, m.endpoints.Name}, m.ofEndpoints)
		}
	}
	for _, s := range m.written {
		for _, w := range OfSlice(s) {
			m.add(w, ObjectKey{KindEndpointSlice, s.Name}, m.ofSlice)
		}
	}
	for _, named := range m.named {
		m.add(named, ObjectKey{KindService, m.in.Service.Name}, m.ofSlice)
	}
}

func (m *manual) add(w Member, from ObjectKey, decide func(Member) (Member, bool)) {
	now, _ := decide(w)
	m.out.Addresses = append(m.out.Addresses, Address{Member: now, Written: w.Addr, From: from,
		Finding: m.findings[now.Addr]})
}

// plan plans the slices.
func (m *manual) plan() {
	svc, d := m.in.Service, m.out
	mirrored, shadows, named := KeptBy(m.in.Slices, MirrorManagedBy), KeptBy(m.in.Slices, ShadowManagedBy),
		KeptBy(m.in.Slices, NamesManagedBy)
	if m.endpoints == nil {
		d.deleteAll(mirrored, MirrorManagedBy)
	} else {
		plan, skipped := PlanMirror(m.endpoints, mirrored, &Overrides{Of: m.ofEndpoints, Followed: m.followed,
			Findings: m.findings})
		d.Unmirrored = skipped
		d.Slices = append(d.Slices, SlicePlan{Keeper: MirrorManagedBy, Have: mirrored, Keeps: true, Plan: plan})
	}
	plan := PlanShadows(m.written, shadows, &Overrides{Of: m.ofSlice, Findings: m.findings})
	d.Slices = append(d.Slices, SlicePlan{Keeper: ShadowManagedBy, Have: shadows, Keeps: true, Plan: plan})
	if len(m.service.Backends) == 0 {
		d.deleteAll(named, NamesManagedBy)
		return
	}
	members := slices.Clone(m.named)
	for i := range members {
		members[i], _ = WithHealth(members[i], m.verdicts)
	}
	plan = PlanNamed(svc, members, named)
	for _, s := range slices.Concat(plan.Create, plan.Update) {
		writeHealthStatus(s, m.findings)
	}
	d.Slices = append(d.Slices, SlicePlan{Keeper: NamesManagedBy, Have: named, Keeps: true, Plan: plan})
}

// sameNotes compares annotations without HealthStatus, which is never a reason to write.
func sameNotes(a, b map[string]string) bool {
	apart := func(m map[string]string) map[string]string {
		if _, there := m[annotations.HealthStatus]; !there {
			return m
		}
		m = maps.Clone(m)
		delete(m, annotations.HealthStatus)
		return m
	}
	return maps.Equal(apart(a), apart(b))
}
