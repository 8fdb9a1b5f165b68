package kinds

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/allocation"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

// declareServices declares services, whose addresses and node ports come from allocator.
func declareServices(b *resource.Builder, allocator *allocation.Allocator,
	endpoints resource.Storage[*corev1.Endpoints]) resource.Storage[*corev1.Service] {
	hooks := &serviceHooks{allocator: allocator, endpoints: endpoints.Main}
	services := resource.Declare(b, service(func(store *registry.Store) {
		store.Decorator = decorateServices
		store.BeginCreate = hooks.creating(store)
		store.BeginUpdate = hooks.beginUpdate
	}))
	services.OnDelete(hooks.deleted)
	return services
}

func service(customize func(*registry.Store)) resource.Kind[*corev1.Service] {
	return resource.Kind[*corev1.Service]{
		Group: coreGroup,
		Names: resource.Names{Plural: "services", Singular: "service", Short: []string{"svc"},
			Categories: []string{"all"}},
		Rules: resource.Rules[*corev1.Service]{
			Default:       validation.DefaultService,
			PrepareCreate: func(_ context.Context, svc *corev1.Service) { svc.Status = corev1.ServiceStatus{} },
			PrepareUpdate: func(_ context.Context, svc, old *corev1.Service) {
				svc.Status = old.Status
				validation.PrepareServiceUpdate(svc, old)
			},
			Validate: validation.ValidateService, ValidateUpdate: validation.ValidateServiceUpdate,
			Warn:                validation.ServiceWarnings,
			AllowCreateOnUpdate: true, AllowUnconditionalUpdate: true,
		},
		Selection: resource.Selection[*corev1.Service]{Fields: func(svc *corev1.Service) fields.Set {
			return fields.Set{"spec.clusterIP": svc.Spec.ClusterIP, "spec.type": string(svc.Spec.Type)}
		}},
		Status: &resource.Subresource[*corev1.Service]{
			PrepareUpdate:  func(svc, old *corev1.Service) { svc.Spec = old.Spec },
			ValidateUpdate: validation.ValidateServiceStatusUpdate,
			Warn:           validation.ServiceStatusWarnings,
		},
		Storing: resource.Storing[*corev1.Service]{Prefix: "services/specs", Customize: customize},
		Serving: resource.Serving{
			Table: printers.Services(),
			Wrap:  func(r *resource.REST) rest.Storage { return &serviceREST{r} },
		},
	}
}

// decorateServices fills in what is read the fields that objects of an earlier writer may lack.
func decorateServices(obj runtime.Object) {
	switch o := obj.(type) {
	case *corev1.Service:
		validation.DefaultServiceOnRead(o)
	case *corev1.ServiceList:
		for i := range o.Items {
			validation.DefaultServiceOnRead(&o.Items[i])
		}
	}
}
