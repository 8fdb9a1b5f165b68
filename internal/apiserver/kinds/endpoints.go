package kinds

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

func endpoints(rules validation.Options) resource.Kind[*corev1.Endpoints] {
	return resource.Kind[*corev1.Endpoints]{
		Group: coreGroup,
		Names: resource.Names{Plural: "endpoints", Singular: "endpoints", Short: []string{"ep"}},
		Rules: resource.Rules[*corev1.Endpoints]{
			Default:  validation.DefaultEndpoints,
			Validate: func(ep *corev1.Endpoints) field.ErrorList { return validation.ValidateEndpoints(ep, rules) },
			ValidateUpdate: func(ep, old *corev1.Endpoints) field.ErrorList {
				return validation.ValidateEndpointsUpdate(ep, old, rules)
			},
			Warn:                validation.EndpointsWarnings,
			AllowCreateOnUpdate: true, AllowUnconditionalUpdate: true,
		},
		Storing: resource.Storing[*corev1.Endpoints]{Prefix: "services/endpoints", Intern: internEndpoints},
		Serving: resource.Serving{Table: printers.Endpoints()},
	}
}
