package apiserver

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/validation"
)

func endpointsKind(rules validation.Options) kind[*corev1.Endpoints] {
	return kind[*corev1.Endpoints]{
		resource: corev1.Resource("endpoints"), singular: "endpoints", shortNames: []string{"ep"},
		table:     printers.Endpoints(),
		newObject: func() *corev1.Endpoints { return &corev1.Endpoints{} },
		newList:   func() runtime.Object { return &corev1.EndpointsList{} },
		validate:  func(ep *corev1.Endpoints) field.ErrorList { return validation.ValidateEndpoints(ep, rules) },
		validateUpdate: func(ep, old *corev1.Endpoints) field.ErrorList {
			return validation.ValidateEndpointsUpdate(ep, old, rules)
		},
		warn:           validation.EndpointsWarnings,
		createOnUpdate: true,
		unconditional:  true,
	}
}

func endpointSliceKind(rules validation.Options) kind[*discoveryv1.EndpointSlice] {
	return kind[*discoveryv1.EndpointSlice]{
		resource: discoveryv1.Resource("endpointslices"), singular: "endpointslice",
		table:         printers.EndpointSlices(),
		newObject:     func() *discoveryv1.EndpointSlice { return &discoveryv1.EndpointSlice{} },
		newList:       func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
		prepareCreate: func(_ context.Context, s *discoveryv1.EndpointSlice) { s.Generation = 1; dropDeprecatedTopology(s) },
		prepareUpdate: func(_ context.Context, s, old *discoveryv1.EndpointSlice) {
			dropDeprecatedTopology(s)
			s.Generation = old.Generation
			if sliceChanged(s, old) {
				s.Generation++
			}
		},
		validate: func(s *discoveryv1.EndpointSlice) field.ErrorList { return validation.ValidateEndpointSlice(s, rules) },
		validateUpdate: func(s, old *discoveryv1.EndpointSlice) field.ErrorList {
			return validation.ValidateEndpointSliceUpdate(s, old, rules)
		},
		warn:          validation.EndpointSliceWarnings,
		unconditional: true,
	}
}

// sliceChanged says whether a write deserves a new generation: anything but metadata, or the labels.
func sliceChanged(s, old *discoveryv1.EndpointSlice) bool {
	a, b := *s, *old
	a.ObjectMeta, b.ObjectMeta = metav1.ObjectMeta{Labels: s.Labels}, metav1.ObjectMeta{Labels: old.Labels}
	a.TypeMeta, b.TypeMeta = metav1.TypeMeta{}, metav1.TypeMeta{}
	return !apiequality.Semantic.DeepEqual(a, b)
}

// dropDeprecatedTopology clears a field that v1 keeps only to carry what older versions stored.
func dropDeprecatedTopology(s *discoveryv1.EndpointSlice) {
	for i := range s.Endpoints {
		s.Endpoints[i].DeprecatedTopology = nil
	}
}
