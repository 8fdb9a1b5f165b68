package membership

import (
	"cmp"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// endpointKey identifies an endpoint across updates; all its other fields may change in place.
type endpointKey struct{ address, target string }

func keyOf(e *discovery.Endpoint) endpointKey {
	var k endpointKey
	if len(e.Addresses) > 0 {
		k.address = e.Addresses[0]
	}
	if e.TargetRef != nil {
		k.target = e.TargetRef.Name
	}
	return k
}

// draft is one slice of a group during planning.
type draft struct {
	was       *discovery.EndpointSlice
	endpoints []*discovery.Endpoint
	changed   bool
}

func (d *draft) room() int { return MaxEndpointsPerSlice - len(d.endpoints) }

// packGroup plans the slices of one group.
func packGroup(svc *v1.Service, labels map[string]string, key group, want *wanted,
	have []*discovery.EndpointSlice) Plan {
	drafts, homeless := keepInPlace(want.endpoints, have)
	for _, d := range drafts {
		d.changed = d.changed || !maps.Equal(d.was.Labels, labels)
	}
	homeless = fillChanged(drafts, homeless)
	homeless = fillOneUnchanged(drafts, homeless)
	plan := settle(drafts, labels, len(want.endpoints) == 0)
	for empty := len(want.endpoints) == 0 && len(drafts) == 0; len(homeless) > 0 || empty; empty = false {
		n := min(len(homeless), MaxEndpointsPerSlice)
		plan.Create = append(plan.Create, newSlice(svc, labels, key.family, want.ports, homeless[:n]))
		homeless = homeless[n:]
	}
	return plan
}

// keepInPlace removes from every slice the endpoints that are not wanted, updates the others, and returns the endpoints
// that are in no slice yet.
func keepInPlace(want []discovery.Endpoint, have []*discovery.EndpointSlice) ([]*draft, []*discovery.Endpoint) {
	at := make(map[endpointKey]int, len(want))
	for i := range want {
		at[keyOf(&want[i])] = i
	}
	placed := make([]bool, len(want))
	var drafts []*draft
	for _, s := range have {
		d := &draft{was: s, endpoints: make([]*discovery.Endpoint, 0, min(len(s.Endpoints), MaxEndpointsPerSlice))}
		for i := range s.Endpoints {
			old := &s.Endpoints[i]
			next, ok := at[keyOf(old)]
			if !ok || placed[next] || len(d.endpoints) == MaxEndpointsPerSlice {
				d.changed = true
				continue
			}
			placed[next] = true
			d.changed = d.changed || !sameEndpoint(old, &want[next])
			d.endpoints = append(d.endpoints, &want[next])
		}
		drafts = append(drafts, d)
	}
	var homeless []*discovery.Endpoint
	for i := range want {
		if !placed[i] {
			homeless = append(homeless, &want[i])
		}
	}
	return drafts, homeless
}

// fillChanged puts endpoints into slices that are written anyway, the fullest slice first.
func fillChanged(drafts []*draft, homeless []*discovery.Endpoint) []*discovery.Endpoint {
	var changed []*draft
	for _, d := range drafts {
		if d.changed && len(d.endpoints) > 0 {
			changed = append(changed, d)
		}
	}
	slices.SortStableFunc(changed, func(a, b *draft) int { return cmp.Compare(a.room(), b.room()) })
	for _, d := range changed {
		homeless = d.take(homeless)
	}
	for _, d := range drafts { // an empty slice is filled instead of deleted, so that no new slice is needed
		if d.changed && len(d.endpoints) == 0 {
			homeless = d.take(homeless)
		}
	}
	return homeless
}

func (d *draft) take(homeless []*discovery.Endpoint) []*discovery.Endpoint {
	n := min(d.room(), len(homeless))
	if n <= 0 {
		return homeless
	}
	d.endpoints, d.changed = append(d.endpoints, homeless[:n]...), true
	return homeless[n:]
}

// fillOneUnchanged writes one more slice if it can take all remaining endpoints: the slice with the least room that is
// enough.
func fillOneUnchanged(drafts []*draft, homeless []*discovery.Endpoint) []*discovery.Endpoint {
	var best *draft
	rest := len(homeless) % MaxEndpointsPerSlice
	if rest == 0 {
		return homeless
	}
	for _, d := range drafts {
		if !d.changed && d.room() >= rest && (best == nil || d.room() < best.room()) {
			best = d
		}
	}
	if best == nil {
		return homeless
	}
	best.take(homeless[len(homeless)-rest:])
	return homeless[:len(homeless)-rest]
}

// settle turns drafts into writes. With keepOne, the group has no endpoints, and one empty slice stays to show this.
func settle(drafts []*draft, labels map[string]string, keepOne bool) Plan {
	var plan Plan
	for _, d := range drafts {
		if len(d.endpoints) == 0 && !keepOne {
			plan.Delete = append(plan.Delete, d.was)
			continue
		}
		keepOne = false
		if d.changed {
			next := *d.was
			d.was.ObjectMeta.DeepCopyInto(&next.ObjectMeta)
			next.Labels, next.Endpoints = maps.Clone(labels), cloneAll(d.endpoints)
			plan.Update = append(plan.Update, &next)
		}
	}
	return plan
}

func newSlice(svc *v1.Service, labels map[string]string, family discovery.AddressType, ports []Port,
	endpoints []*discovery.Endpoint) *discovery.EndpointSlice {
	return &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: generateName(svc.Name), Namespace: svc.Namespace,
			Labels: maps.Clone(labels), OwnerReferences: []metav1.OwnerReference{serviceOwner(svc)},
		},
		AddressType: family,
		Endpoints:   cloneAll(endpoints),
		Ports:       slicePorts(ports),
	}
}

func cloneAll(endpoints []*discovery.Endpoint) []discovery.Endpoint {
	out := make([]discovery.Endpoint, len(endpoints))
	for i, e := range endpoints {
		out[i] = *e
	}
	return out
}
