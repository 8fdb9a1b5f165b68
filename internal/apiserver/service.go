package apiserver

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/allocation"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/validation"
)

func serviceKind(attach func(*registry.Store)) kind[*corev1.Service] {
	return kind[*corev1.Service]{
		resource: corev1.Resource("services"), singular: "service", shortNames: []string{"svc"}, categories: []string{"all"},
		table:     printers.Services(),
		newObject: func() *corev1.Service { return &corev1.Service{} },
		newList:   func() runtime.Object { return &corev1.ServiceList{} },
		prepareCreate: func(_ context.Context, svc *corev1.Service) {
			svc.Status = corev1.ServiceStatus{}
		},
		prepareUpdate: func(_ context.Context, svc, old *corev1.Service) {
			svc.Status = old.Status
			validation.PrepareServiceUpdate(svc, old)
		},
		validate:       validation.ValidateService,
		validateUpdate: validation.ValidateServiceUpdate,
		warn:           validation.ServiceWarnings,
		createOnUpdate: true,
		unconditional:  true,
		selectable: func(svc *corev1.Service) fields.Set {
			return fields.Set{"spec.clusterIP": svc.Spec.ClusterIP, "spec.type": string(svc.Spec.Type)}
		},
		status: &statusKind[*corev1.Service]{
			prepareUpdate:  func(svc, old *corev1.Service) { svc.Spec = old.Spec },
			validateUpdate: validation.ValidateServiceStatusUpdate,
			warn:           validation.ServiceStatusWarnings,
		},
		attach: attach,
	}
}

// serviceHooks ties the allocation of addresses and node ports to the life of Services.
type serviceHooks struct {
	alloc     *allocation.Allocator // set, with repairer, once the stores are there that they work on
	repairer  *allocation.Repairer
	services  *registry.Store
	endpoints *registry.Store // an Endpoints object ends with its Service, whoever wrote it
	deleted   func(*corev1.Service)
}

func (h *serviceHooks) attach(store *registry.Store) {
	h.services = store
	store.Decorator = decorateServices
	store.BeginCreate = h.beginCreate
	store.BeginUpdate = h.beginUpdate
	store.AfterDelete = h.afterDelete
}

// decorateServices fills in, in what is read, the fields that objects of an earlier writer may lack.
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

func (h *serviceHooks) beginCreate(ctx context.Context, obj runtime.Object,
	options *metav1.CreateOptions) (registry.FinishFunc, error) {
	svc := obj.(*corev1.Service)
	validation.PrepareServiceCreate(svc)
	return h.begin(ctx, svc, nil, len(options.DryRun) > 0)
}

func (h *serviceHooks) beginUpdate(ctx context.Context, obj, oldObj runtime.Object,
	options *metav1.UpdateOptions) (registry.FinishFunc, error) {
	svc, old := obj.(*corev1.Service), oldObj.(*corev1.Service)
	validation.DefaultServiceOnRead(old)
	validation.PrepareServiceUpdate(svc, old)
	return h.begin(ctx, svc, old, len(options.DryRun) > 0)
}

// begin allocates what svc asks for and old (nil when created) does not have. The returned function keeps or undoes
// that; of an update it leaves the keeping to serviceREST.
func (h *serviceHooks) begin(ctx context.Context, svc, old *corev1.Service, dryRun bool) (registry.FinishFunc, error) {
	update := updateOf(ctx)
	update.settle(ctx, false) // an earlier try of this update was not written
	if errs := validation.InitIPFamilies(svc, old, h.alloc.Families()); len(errs) > 0 {
		return nil, invalidService(svc, errs)
	}
	txn, errs, err := h.alloc.Allocate(ctx, svc, old, dryRun)
	if err == nil && len(errs) > 0 {
		err = invalidService(svc, errs)
	}
	if err != nil {
		return nil, h.explain(ctx, svc, old, err)
	}
	return func(ctx context.Context, success bool) {
		switch {
		case !success:
			txn.Revert(ctx)
		case update != nil:
			update.txn = txn
		default:
			txn.Commit(ctx)
		}
	}, nil
}

// explain turns the failure to allocate for a new Service into the true reason, where that is that there is one of its
// name: which may well hold what was asked for, as when the same manifest is created twice.
func (h *serviceHooks) explain(ctx context.Context, svc, old *corev1.Service, err error) error {
	if old != nil {
		return err
	}
	if _, missing := h.services.Get(ctx, svc.Name, &metav1.GetOptions{}); missing != nil {
		return err
	}
	return apierrors.NewAlreadyExists(corev1.Resource("services"), svc.Name)
}

func (h *serviceHooks) afterDelete(obj runtime.Object, options *metav1.DeleteOptions) {
	if len(options.DryRun) > 0 {
		return
	}
	svc := obj.(*corev1.Service)
	ctx := withNamespace(context.Background(), svc.Namespace)
	h.alloc.ReleaseAll(ctx, svc)
	// The controller deletes what is left if this fails: there is nothing to report to whoever deleted the Service.
	defer h.deleted(svc)
	_, _, _ = h.endpoints.Delete(ctx, svc.Name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
}

// addressDeleted hears of every IPAddress that is deleted, by whomever.
func (h *serviceHooks) addressDeleted(ip *networkingv1.IPAddress) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	h.repairer.Deleted(ctx, ip)
}

// lookTimeout bounds what is looked up after a request has been carried out.
const lookTimeout = 2 * time.Second

func invalidService(svc *corev1.Service, errs field.ErrorList) error {
	return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), svc.Name, errs)
}
