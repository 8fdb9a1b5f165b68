package membership

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/annotations"
)

// MaxMirrored is how many addresses of one subset, once it is in canonical form, are mirrored; upstream's default.
const MaxMirrored = 1000

// Overrides are what is known of addresses since a person wrote them.
type Overrides struct {
	// Of says what has become of an address; false: it is as it was written.
	Of func(written Member) (now Member, changed bool)
	// Followed are the Pods that addresses without a targetRef were written for, by name. Of may add to it. They are
	// kept in the mirror, in the annotation Followed.
	Followed map[netip.Addr]string
	// Findings are what the health checks found. Of those that are Down, the annotation HealthStatus has the cause.
	Findings map[netip.Addr]Finding
}

// Mirrored says whether ep, of the Service svc (nil if there is none), is to be mirrored to EndpointSlices: a person
// wrote it, for a Service without a selector.
func Mirrored(ep *v1.Endpoints, svc *v1.Service) bool {
	if ep == nil || svc == nil || HasSelector(svc) || ep.DeletionTimestamp != nil {
		return false
	}
	_, election := ep.Annotations[leaderAnnotation]
	return ep.Labels[skipMirrorLabel] != "true" && !election && !ManagesEndpoints(ep)
}

// PlanMirror plans how have, the slices that mirror ep, become its mirror: one slice for each family and list of ports.
// skipped counts the addresses that are not mirrored: those past MaxMirrored of a subset, and those that are no IP
// addresses. known, if not nil, is what has become of addresses since they were written.
func PlanMirror(ep *v1.Endpoints, have []*discovery.EndpointSlice, known *Overrides) (plan Plan, skipped int) {
	want, skipped := mirrorGroups(ep, known)
	held, plan := sortMirrors(want, have)
	for _, key := range slices.SortedFunc(maps.Keys(want), compareGroups) {
		next := mirrorSlice(ep, key, want[key])
		known.remember(next)
		was := held[key]
		switch {
		case was == nil:
			plan.Create = append(plan.Create, next)
		case !sameMirror(was, next):
			updated := was.DeepCopy()
			updated.Labels, updated.OwnerReferences, updated.Endpoints = next.Labels, next.OwnerReferences, next.Endpoints
			plan.Update = append(plan.Update, updated)
		}
	}
	plan.recycle()
	for _, s := range plan.Update {
		s.Annotations = mirrorAnnotations(ep) // all of them are the author's, of a recycled slice too
		known.remember(s)
	}
	known.noteHealth(plan)
	return plan, skipped
}

// sortMirrors finds the slice of every group that there is to be, the first by name, and plans the end of the others.
func sortMirrors(want map[group]*wanted, have []*discovery.EndpointSlice) (map[group]*discovery.EndpointSlice, Plan) {
	var plan Plan
	held := map[group]*discovery.EndpointSlice{}
	for _, s := range slices.SortedFunc(slices.Values(have), compareNames) {
		key := group{s.AddressType, spellPorts(portsOfSlice(s))}
		switch {
		case s.DeletionTimestamp != nil:
		case want[key] == nil || held[key] != nil:
			plan.Delete = append(plan.Delete, s)
		default:
			held[key] = s
		}
	}
	return held, plan
}

// mirrorGroups makes the endpoints of every group, and counts the addresses that are in none. The limit is one for both
// families, and the ready ones come first.
func mirrorGroups(ep *v1.Endpoints, known *Overrides) (map[group]*wanted, int) {
	want := map[group]*wanted{}
	skipped := countUnreadable(ep.Subsets)
	for _, s := range Canonical(ep.Subsets) {
		mirrored := membersOf([]v1.EndpointSubset{s})
		slices.SortStableFunc(mirrored, func(a, b Member) int { return cmp.Compare(btoi(b.Ready), btoi(a.Ready)) })
		room := min(len(mirrored), MaxMirrored)
		skipped += len(mirrored) - room
		for i := range mirrored[:room] {
			m := &mirrored[i]
			e := amended(m, known)
			key := group{addressType(familyOf(m.Addr)), spellPorts(m.Ports)}
			if want[key] == nil {
				want[key] = &wanted{ports: m.Ports}
			}
			want[key].endpoints = append(want[key].endpoints, e)
		}
	}
	return want, skipped
}

// countUnreadable counts what stands for an address and is none, however often it is written.
func countUnreadable(subsets []v1.EndpointSubset) int {
	unreadable := map[string]bool{}
	for _, s := range subsets {
		for _, list := range [][]v1.EndpointAddress{s.Addresses, s.NotReadyAddresses} {
			for _, a := range list {
				if _, err := netip.ParseAddr(a.IP); err != nil {
					unreadable[a.IP] = true
				}
			}
		}
	}
	return len(unreadable)
}

// amended spells m, and brings it up to date with what is known: then all is said of it.
func amended(m *Member, known *Overrides) discovery.Endpoint {
	if known != nil {
		if next, changed := known.Of(*m); changed {
			*m = next
			return endpointOf(m)
		}
	}
	return mirrorEndpoint(m)
}

// mirrorEndpoint says of a hand-written address only what its author said: whether it is ready.
func mirrorEndpoint(m *Member) discovery.Endpoint {
	e := endpointOf(m)
	e.Conditions.Serving, e.Conditions.Terminating = nil, nil
	return e
}

func mirrorSlice(ep *v1.Endpoints, key group, want *wanted) *discovery.EndpointSlice {
	labels := maps.Clone(ep.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[discovery.LabelServiceName] = ep.Name
	labels[discovery.LabelManagedBy] = MirrorManagedBy
	return &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: generateName(ep.Name), Namespace: ep.Namespace, Labels: labels, Annotations: mirrorAnnotations(ep),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(ep, v1.SchemeGroupVersion.WithKind("Endpoints"))},
		},
		AddressType: key.family,
		Endpoints:   want.endpoints,
		Ports:       slicePorts(want.ports),
	}
}

// mirrorAnnotations are those of ep that its author wrote and that have a meaning on a slice.
func mirrorAnnotations(ep *v1.Endpoints) map[string]string {
	kept := maps.Clone(ep.Annotations)
	delete(kept, v1.EndpointsLastChangeTriggerTime)
	delete(kept, v1.LastAppliedConfigAnnotation)
	for _, key := range []string{annotations.Follow, annotations.Followed, annotations.HealthStatus} {
		delete(kept, key)
	}
	return kept
}

// sameMirror compares everything of a slice that is decided here.
func sameMirror(was, next *discovery.EndpointSlice) bool {
	return maps.Equal(was.Labels, next.Labels) && sameNotes(was.Annotations, next.Annotations) &&
		apiequality.Semantic.DeepEqual(was.OwnerReferences, next.OwnerReferences) &&
		slices.EqualFunc(was.Endpoints, next.Endpoints, func(a, b discovery.Endpoint) bool { return sameEndpoint(&a, &b) })
}
