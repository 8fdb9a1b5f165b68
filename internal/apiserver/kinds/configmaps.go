package kinds

import (
	corev1 "k8s.io/api/core/v1"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

func configMap() resource.Kind[*corev1.ConfigMap] {
	return resource.Kind[*corev1.ConfigMap]{
		Group: coreGroup,
		Names: resource.Names{Plural: "configmaps", Singular: "configmap", Short: []string{"cm"}},
		Rules: resource.Rules[*corev1.ConfigMap]{
			Validate: validation.ValidateConfigMap, ValidateUpdate: validation.ValidateConfigMapUpdate,
			AllowUnconditionalUpdate: true,
		},
		Serving: resource.Serving{Table: printers.ConfigMaps()},
	}
}
