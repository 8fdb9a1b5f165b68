package kinds

import (
	networkingv1 "k8s.io/api/networking/v1"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

// ipAddress is the record of the Service that holds a ClusterIP. Package allocation writes most of them; clients may.
func ipAddress() resource.Kind[*networkingv1.IPAddress] {
	return resource.Kind[*networkingv1.IPAddress]{
		Group:         networkingGroup,
		Names:         resource.Names{Plural: "ipaddresses", Singular: "ipaddress", Short: []string{"ip"}},
		ClusterScoped: true,
		Rules: resource.Rules[*networkingv1.IPAddress]{
			Validate: validation.ValidateIPAddress, ValidateUpdate: validation.ValidateIPAddressUpdate,
			AllowUnconditionalUpdate: true,
		},
		Serving: resource.Serving{Table: printers.IPAddresses()},
	}
}
