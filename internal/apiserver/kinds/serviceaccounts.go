package kinds

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

func serviceAccount() resource.Kind[*corev1.ServiceAccount] {
	return resource.Kind[*corev1.ServiceAccount]{
		Group: coreGroup,
		Names: resource.Names{Plural: "serviceaccounts", Singular: "serviceaccount", Short: []string{"sa"}},
		Rules: resource.Rules[*corev1.ServiceAccount]{
			PrepareCreate: func(_ context.Context, a *corev1.ServiceAccount) { keepSecretNames(a) },
			PrepareUpdate: func(_ context.Context, a, _ *corev1.ServiceAccount) { keepSecretNames(a) },
			Validate:      validation.ValidateServiceAccount, ValidateUpdate: validation.ValidateServiceAccountUpdate,
		},
		Serving: resource.Serving{Table: printers.ServiceAccounts()},
	}
}

// keepSecretNames clears all fields of the references to secrets except the names: secrets are always in the account's
// own namespace.
func keepSecretNames(account *corev1.ServiceAccount) {
	for i, secret := range account.Secrets {
		account.Secrets[i] = corev1.ObjectReference{Name: secret.Name}
	}
}
