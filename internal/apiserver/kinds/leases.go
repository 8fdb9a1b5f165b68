package kinds

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

func lease() resource.Kind[*coordinationv1.Lease] {
	return resource.Kind[*coordinationv1.Lease]{
		Group: coordinationGroup,
		Names: resource.Names{Plural: "leases", Singular: "lease"},
		Rules: resource.Rules[*coordinationv1.Lease]{
			Validate: validation.ValidateLease, ValidateUpdate: validation.ValidateLeaseUpdate,
			AllowCreateOnUpdate: true,
		},
		Serving: resource.Serving{Table: printers.Leases()},
	}
}
