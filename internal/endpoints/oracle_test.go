package endpoints_test

import (
	"fmt"
	"maps"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"viaduct/internal/membership"
)

// unplanned says what in the store is not the function of the rest of the store that package membership is. It is empty
// when all is well.
func unplanned(s stored) []string {
	var wrong []string
	for _, key := range s.keys() {
		svc, ep := s.serviceOf(key), s.endpointsOf(key)
		kept, mirrors := s.slicesOf(key, membership.SliceManagedBy), s.slicesOf(key, membership.MirrorManagedBy)
		complain := func(format string, args ...any) {
			wrong = append(wrong, fmt.Sprintf("%s: %s", key, fmt.Sprintf(format, args...)))
		}
		if svc != nil && membership.HasSelector(svc) && svc.Spec.Type != v1.ServiceTypeExternalName {
			members := s.members(svc, kept)
			if problem := wrongEndpoints(svc, members, ep); problem != "" {
				complain("%s", problem)
			}
			plan := membership.PlanSlices(svc, members, kept)
			if svc.DeletionTimestamp != nil { // what is ending gets no new slices
				plan.Create = nil
			}
			if !plan.Empty() {
				complain("slices: %s", spellPlan(plan))
			}
			if len(mirrors) > 0 {
				complain("%d mirrored slices, though it has a selector", len(mirrors))
			}
			continue
		}
		if ep != nil && membership.ManagesEndpoints(ep) {
			complain("the Endpoints are the controller's, and it has no selector")
		}
		if len(kept) > 0 {
			complain("%d slices, and it has no selector", len(kept))
		}
		if plan := mirrorPlan(svc, ep, mirrors); !plan.Empty() {
			complain("mirror: %s", spellPlan(plan))
		}
	}
	return wrong
}

func mirrorPlan(svc *v1.Service, ep *v1.Endpoints, mirrors []*discovery.EndpointSlice) membership.Plan {
	if !membership.Mirrored(ep, svc) {
		return membership.Plan{Delete: mirrors}
	}
	plan, _ := membership.PlanMirror(ep, mirrors, nil)
	return plan
}

func wrongEndpoints(svc *v1.Service, members []membership.Member, ep *v1.Endpoints) string {
	want, truncated := membership.Subsets(svc, members)
	switch {
	case ep == nil:
		return "no Endpoints"
	case !apiequality.Semantic.DeepEqual(membership.Canonical(ep.Subsets), membership.Canonical(want)):
		return fmt.Sprintf("Endpoints with %s, want %s", spellEndpoints(ep), spellEndpoints(&v1.Endpoints{Subsets: want}))
	case !maps.Equal(ep.Labels, membership.EndpointsLabels(svc)):
		return fmt.Sprintf("Endpoints with the labels %v, want %v", ep.Labels, membership.EndpointsLabels(svc))
	case !maps.Equal(ep.Annotations, membership.EndpointsAnnotations(ep.Annotations, truncated)):
		return fmt.Sprintf("Endpoints with the annotations %v", ep.Annotations)
	}
	return ""
}

func spellPlan(p membership.Plan) string {
	return fmt.Sprintf("%d are missing, %d wrong, %d too many", len(p.Create), len(p.Update), len(p.Delete))
}
