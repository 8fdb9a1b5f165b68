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

// MaxMirrored is the maximum number of addresses that are mirrored for one subset in canonical form; upstream's
// default.
const MaxMirrored = 1000

// Overrides is what is known of addresses beyond what a person wrote.
type Overrides struct {
	// Of returns the current state of an address; false: the address is used as written.
	Of func(written Member) (now Member, changed bool)
	// Followed maps an address without a targetRef to the name of the Pod for which it was written. Of may add to the map.
	// The map is stored in the mirror slice, in the annotation Followed.
	Followed map[netip.Addr]string
	// Findings are the results of the health checks. The annotation HealthStatus has the cause for each address that is
	// Down.
	Findings map[netip.Addr]Finding
}

// Mirrored says whether ep is to be mirrored to EndpointSlices: a person wrote it for a Service without a selector. svc
// is the Service of ep, nil if there is none.
func Mirrored(ep *v1.Endpoints, svc *v1.Service) bool {
	if ep == nil || svc == nil || HasSelector(svc) || ep.DeletionTimestamp != nil {
		return false
	}
	_, election := ep.Annotations[leaderAnnotation]
	return ep.Labels[skipMirrorLabel] != "true" && !election && !ManagesEndpoints(ep)
}

// PlanMirror plans the changes that make have, the existing mirror slices of ep, a mirror of ep: one slice for each
// family and list of ports. skipped counts the addresses that are not mirrored: those over MaxMirrored of a subset, and
// strings that are no IP address. known, if not nil, is what is known of addresses beyond what was written.
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
		s.Annotations = mirrorAnnotations(ep) // only the author's annotations; this also cleans recycled slices
		known.remember(s)
	}
	known.noteHealth(plan)
	return plan, skipped
}

// sortMirrors finds the existing slice of every wanted group, the first by name, and plans the deletion of the others.
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

// mirrorGroups makes the endpoints of every group, and counts the addresses that are in no group. Both families share
// one limit, and ready addresses come first.
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

// countUnreadable counts the strings in address fields that are no IP address. A repeated string counts once.
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

// amended builds the endpoint of m, updated with what is known. An endpoint that changes has all its conditions set.
func amended(m *Member, known *Overrides) discovery.Endpoint {
	if known != nil {
		if next, changed := known.Of(*m); changed {
			*m = next
			return endpointOf(m)
		}
	}
	return mirrorEndpoint(m)
}

// mirrorEndpoint builds the endpoint of a hand-written address. It sets only the condition that the author gave: ready.
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

// mirrorAnnotations returns the annotations of ep that its author wrote and that have a meaning on a slice.
func mirrorAnnotations(ep *v1.Endpoints) map[string]string {
	kept := maps.Clone(ep.Annotations)
	delete(kept, v1.EndpointsLastChangeTriggerTime)
	delete(kept, v1.LastAppliedConfigAnnotation)
	for _, key := range []string{annotations.Follow, annotations.Followed, annotations.HealthStatus} {
		delete(kept, key)
	}
	return kept
}

// sameMirror compares all fields of a slice that are decided here.
func sameMirror(was, next *discovery.EndpointSlice) bool {
	return maps.Equal(was.Labels, next.Labels) && sameNotes(was.Annotations, next.Annotations) &&
		apiequality.Semantic.DeepEqual(was.OwnerReferences, next.OwnerReferences) &&
		slices.EqualFunc(was.Endpoints, next.Endpoints, func(a, b discovery.Endpoint) bool { return sameEndpoint(&a, &b) })
}
