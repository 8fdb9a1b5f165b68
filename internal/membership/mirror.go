package membership

import (
	"cmp"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MaxMirrored is how many addresses of one subset are mirrored; upstream's default.
const MaxMirrored = 1000

// Mirrored says whether ep, of the Service svc (nil if there is none), is to be mirrored to EndpointSlices: a person wrote it, for a
// Service without a selector.
func Mirrored(ep *v1.Endpoints, svc *v1.Service) bool {
	if ep == nil || svc == nil || HasSelector(svc) || ep.DeletionTimestamp != nil {
		return false
	}
	_, election := ep.Annotations[leaderAnnotation]
	return ep.Labels[skipMirrorLabel] != "true" && !election && !ManagesEndpoints(ep)
}

// PlanMirror plans how have, the slices that mirror ep, become its mirror: one slice for each family and list of ports. skipped counts
// the addresses that are not mirrored: those past MaxMirrored, and those that are no IP addresses.
func PlanMirror(ep *v1.Endpoints, have []*discovery.EndpointSlice) (plan Plan, skipped int) {
	want, skipped := mirrorGroups(ep)
	held := map[group][]*discovery.EndpointSlice{}
	for _, s := range slices.SortedFunc(slices.Values(have), func(a, b *discovery.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) }) {
		key := group{s.AddressType, spellPorts(portsOfSlice(s))}
		switch {
		case s.DeletionTimestamp != nil:
		case want[key] == nil || len(held[key]) > 0:
			plan.Delete = append(plan.Delete, s)
		default:
			held[key] = append(held[key], s)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(want), compareGroups) {
		next := mirrorSlice(ep, key, want[key])
		if len(held[key]) == 0 {
			plan.Create = append(plan.Create, next)
			continue
		}
		was := held[key][0]
		if sameMirror(was, next) {
			continue
		}
		updated := was.DeepCopy()
		updated.Labels, updated.Annotations, updated.OwnerReferences = next.Labels, next.Annotations, next.OwnerReferences
		updated.Endpoints = next.Endpoints
		plan.Update = append(plan.Update, updated)
	}
	plan.recycle()
	return plan, skipped
}

func mirrorGroups(ep *v1.Endpoints) (map[group]*wanted, int) {
	want := map[group]*wanted{}
	members := OfEndpoints(ep.Subsets)
	skipped := countAddresses(ep.Subsets) - countAddresses(pack(members))
	for _, s := range pack(members) {
		mirrored := membersOf([]v1.EndpointSubset{s})
		slices.SortStableFunc(mirrored, func(a, b Member) int { return cmp.Compare(btoi(b.Ready), btoi(a.Ready)) }) // the ready ones first
		for _, m := range mirrored {
			key := group{addressType(familyOf(m.Addr)), spellPorts(m.Ports)}
			if want[key] == nil {
				want[key] = &wanted{ports: m.Ports}
			}
			if len(want[key].endpoints) == MaxMirrored {
				skipped++
				continue
			}
			want[key].endpoints = append(want[key].endpoints, mirrorEndpoint(m))
		}
	}
	return want, max(skipped, 0)
}

func countAddresses(subsets []v1.EndpointSubset) int {
	n := 0
	for _, s := range subsets {
		n += (len(s.Addresses) + len(s.NotReadyAddresses)) * max(len(s.Ports), 1)
	}
	return n
}

// mirrorEndpoint says of a hand-written address only what its author said: whether it is ready.
func mirrorEndpoint(m Member) discovery.Endpoint {
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
	annotations := maps.Clone(ep.Annotations)
	delete(annotations, v1.EndpointsLastChangeTriggerTime)
	delete(annotations, v1.LastAppliedConfigAnnotation)
	return &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: generateName(ep.Name), Namespace: ep.Namespace, Labels: labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(ep, v1.SchemeGroupVersion.WithKind("Endpoints"))},
		},
		AddressType: key.family,
		Endpoints:   want.endpoints,
		Ports:       slicePorts(want.ports),
	}
}

// sameMirror compares all that a mirror decides.
func sameMirror(was, next *discovery.EndpointSlice) bool {
	return maps.Equal(was.Labels, next.Labels) && maps.Equal(was.Annotations, next.Annotations) &&
		apiequality.Semantic.DeepEqual(was.OwnerReferences, next.OwnerReferences) &&
		slices.EqualFunc(was.Endpoints, next.Endpoints, func(a, b discovery.Endpoint) bool { return sameEndpoint(&a, &b) })
}
