package apiserver

import (
	"context"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/validation"
)

// The records of who holds which ClusterIP, and of the ranges that they come from. Package allocation writes them; so
// may anybody else.

func networkingResource(resource string) schema.GroupResource {
	return schema.GroupResource{Group: networkingv1.GroupName, Resource: resource}
}

// ipAddressKind calls deleted after each deletion.
func ipAddressKind(deleted func(*networkingv1.IPAddress)) kind[*networkingv1.IPAddress] {
	return kind[*networkingv1.IPAddress]{
		resource: networkingResource("ipaddresses"), singular: "ipaddress", shortNames: []string{"ip"}, clusterWide: true,
		table:          printers.IPAddresses(),
		newObject:      func() *networkingv1.IPAddress { return &networkingv1.IPAddress{} },
		newList:        func() runtime.Object { return &networkingv1.IPAddressList{} },
		validate:       validation.ValidateIPAddress,
		validateUpdate: validation.ValidateIPAddressUpdate,
		unconditional:  true,
		attach: func(store *registry.Store) {
			store.AfterDelete = func(obj runtime.Object, options *metav1.DeleteOptions) {
				if len(options.DryRun) == 0 {
					deleted(obj.(*networkingv1.IPAddress))
				}
			}
		},
	}
}

func serviceCIDRKind() kind[*networkingv1.ServiceCIDR] {
	return kind[*networkingv1.ServiceCIDR]{
		resource: networkingResource("servicecidrs"), singular: "servicecidr", clusterWide: true,
		table:     printers.ServiceCIDRs(),
		newObject: func() *networkingv1.ServiceCIDR { return &networkingv1.ServiceCIDR{} },
		newList:   func() runtime.Object { return &networkingv1.ServiceCIDRList{} },
		prepareCreate: func(_ context.Context, c *networkingv1.ServiceCIDR) {
			c.Status = networkingv1.ServiceCIDRStatus{}
		},
		prepareUpdate:  func(_ context.Context, c, old *networkingv1.ServiceCIDR) { c.Status = old.Status },
		validate:       validation.ValidateServiceCIDR,
		validateUpdate: validation.ValidateServiceCIDRUpdate,
		unconditional:  true,
		status: &statusKind[*networkingv1.ServiceCIDR]{
			prepareUpdate: func(c, old *networkingv1.ServiceCIDR) {
				c.Spec = old.Spec
				metav1.ResetObjectMetaForStatus(c, old)
			},
			validateUpdate: validation.ValidateServiceCIDRStatusUpdate,
		},
	}
}
