package routing

import (
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/annotations"
)

// Effective are the slices that count. A manual slice does not count if it has a shadow slice, which has the results of
// health checks in addition (see annotations.Shadows). Effective does not change its argument.
func Effective(from []*discovery.EndpointSlice) []*discovery.EndpointSlice {
	stoodFor := map[string]bool{}
	for _, s := range from {
		if of, ok := s.Annotations[annotations.Shadows]; ok && s.DeletionTimestamp == nil {
			stoodFor[of] = true
		}
	}
	if len(stoodFor) == 0 {
		return from
	}
	var out []*discovery.EndpointSlice
	for _, s := range from {
		if !stoodFor[s.Name] {
			out = append(out, s)
		}
	}
	return out
}
