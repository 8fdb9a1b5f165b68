package routing

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/annotations"
)

// InvalidBalancing lists the balancing annotations of svc and of its EndpointSlices that cannot be parsed. Such
// annotations are ignored. The result is sorted and distinct; each item is a clause. Viaduct's API server refuses these
// annotations; other API servers store them.
func InvalidBalancing(svc *v1.Service, from []*discovery.EndpointSlice) (list []string) {
	_, errs := annotations.BalancingOf(svc)
	for _, err := range errs {
		list = append(list, err.Error())
	}
	for _, s := range Effective(from) {
		_, errs := annotations.SliceWeights(s)
		for _, err := range errs {
			list = append(list, fmt.Sprintf("EndpointSlice %s: %v", s.Name, err))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// WithoutSlowStart lists, sorted, the EndpointSlices of svc that have ready endpoints without a slow start, although
// svc asks for one. These slices do not record when their endpoints became ready. Only Viaduct's controller records
// this time, for Pods.
func WithoutSlowStart(svc *v1.Service, from []*discovery.EndpointSlice) (names []string) {
	if _, window := balancing(svc); window == 0 {
		return nil
	}
	for _, s := range Effective(from) {
		ready := slices.ContainsFunc(s.Endpoints, func(e discovery.Endpoint) bool {
			return valueOr(e.Conditions.Ready, true)
		})
		if ready && annotations.SliceReadySince(s) == nil {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return names
}
