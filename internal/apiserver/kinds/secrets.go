package kinds

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

func secret() resource.Kind[*corev1.Secret] {
	return resource.Kind[*corev1.Secret]{
		Group: coreGroup,
		Names: resource.Names{Plural: "secrets", Singular: "secret"},
		Rules: resource.Rules[*corev1.Secret]{
			Default:       validation.DefaultSecret,
			PrepareCreate: func(_ context.Context, s *corev1.Secret) { mergeStringData(s) },
			PrepareUpdate: func(_ context.Context, s, _ *corev1.Secret) { mergeStringData(s) },
			Validate:      validation.ValidateSecret, ValidateUpdate: validation.ValidateSecretUpdate,
			AllowUnconditionalUpdate: true,
		},
		Selection: resource.Selection[*corev1.Secret]{
			Fields: func(s *corev1.Secret) fields.Set { return fields.Set{"type": string(s.Type)} },
		},
		Serving: resource.Serving{Table: printers.Secrets()},
	}
}

// mergeStringData moves the write-only plain values into data, and overwrites values of the same key.
func mergeStringData(s *corev1.Secret) {
	for k, v := range s.StringData {
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[k] = []byte(v)
	}
	s.StringData = nil
}
