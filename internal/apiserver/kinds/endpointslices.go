package kinds

import (
	"context"

	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

func endpointSlice(rules validation.Options) resource.Kind[*discoveryv1.EndpointSlice] {
	return resource.Kind[*discoveryv1.EndpointSlice]{
		Group: discoveryGroup,
		Names: resource.Names{Plural: "endpointslices", Singular: "endpointslice"},
		Rules: resource.Rules[*discoveryv1.EndpointSlice]{
			Default: validation.DefaultEndpointSlice,
			PrepareCreate: func(_ context.Context, s *discoveryv1.EndpointSlice) {
				s.Generation = 1
				dropDeprecatedTopology(s)
			},
			PrepareUpdate: prepareEndpointSliceUpdate,
			Validate: func(s *discoveryv1.EndpointSlice) field.ErrorList {
				return validation.ValidateEndpointSlice(s, rules)
			},
			ValidateUpdate: func(s, old *discoveryv1.EndpointSlice) field.ErrorList {
				return validation.ValidateEndpointSliceUpdate(s, old, rules)
			},
			Warn:                     validation.EndpointSliceWarnings,
			AllowUnconditionalUpdate: true,
		},
		Storing: resource.Storing[*discoveryv1.EndpointSlice]{Intern: internEndpointSlice},
		Serving: resource.Serving{Table: printers.EndpointSlices()},
	}
}

func prepareEndpointSliceUpdate(_ context.Context, s, old *discoveryv1.EndpointSlice) {
	dropDeprecatedTopology(s)
	s.Generation = old.Generation
	if needsGeneration(s, old) {
		s.Generation++
	}
}

// needsGeneration reports whether a write changes more than the metadata, or changes the labels.
func needsGeneration(s, old *discoveryv1.EndpointSlice) bool {
	a, b := *s, *old
	a.ObjectMeta, b.ObjectMeta = metav1.ObjectMeta{Labels: s.Labels}, metav1.ObjectMeta{Labels: old.Labels}
	a.TypeMeta, b.TypeMeta = metav1.TypeMeta{}, metav1.TypeMeta{}
	return !apiequality.Semantic.DeepEqual(a, b)
}

// dropDeprecatedTopology clears a field that v1 has only to preserve what older versions stored.
func dropDeprecatedTopology(s *discoveryv1.EndpointSlice) {
	for i := range s.Endpoints {
		s.Endpoints[i].DeprecatedTopology = nil
	}
}
