package kinds

import (
	"context"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

// serviceCIDR is a range that ClusterIPs come from.
func serviceCIDR() resource.Kind[*networkingv1.ServiceCIDR] {
	return resource.Kind[*networkingv1.ServiceCIDR]{
		Group:         networkingGroup,
		Names:         resource.Names{Plural: "servicecidrs", Singular: "servicecidr"},
		ClusterScoped: true,
		Rules: resource.Rules[*networkingv1.ServiceCIDR]{
			PrepareCreate: func(_ context.Context, c *networkingv1.ServiceCIDR) {
				c.Status = networkingv1.ServiceCIDRStatus{}
			},
			PrepareUpdate: func(_ context.Context, c, old *networkingv1.ServiceCIDR) { c.Status = old.Status },
			Validate:      validation.ValidateServiceCIDR, ValidateUpdate: validation.ValidateServiceCIDRUpdate,
			AllowUnconditionalUpdate: true,
		},
		Status: &resource.Subresource[*networkingv1.ServiceCIDR]{
			PrepareUpdate: func(c, old *networkingv1.ServiceCIDR) {
				c.Spec = old.Spec
				metav1.ResetObjectMetaForStatus(c, old)
			},
			ValidateUpdate: validation.ValidateServiceCIDRStatusUpdate,
		},
		Serving: resource.Serving{Table: printers.ServiceCIDRs()},
	}
}
