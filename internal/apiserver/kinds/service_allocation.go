package kinds

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/allocation"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

// serviceHooks allocates addresses and node ports for Services, and releases them.
type serviceHooks struct {
	allocator *allocation.Allocator
	endpoints *registry.Store // a deleted Service takes its Endpoints with it, also hand-written ones
}

// creating returns the hook that runs before a Service is stored for the first time in services.
func (h *serviceHooks) creating(services *registry.Store) registry.BeginCreateFunc {
	return func(ctx context.Context, obj runtime.Object, options *metav1.CreateOptions) (registry.FinishFunc, error) {
		svc := obj.(*corev1.Service)
		validation.PrepareServiceCreate(svc)
		if errs := h.initFamilies(ctx, svc, nil); len(errs) > 0 {
			return nil, invalidService(svc, errs)
		}
		finish, err := h.allocate(ctx, svc, nil, len(options.DryRun) > 0)
		if err != nil {
			return nil, existsOr(ctx, services, svc, err)
		}
		return finish, nil
	}
}

// existsOr returns AlreadyExists if a Service of this name exists, and err otherwise. The existing Service may hold
// what the new one asks for, for example when a client creates the same manifest twice.
func existsOr(ctx context.Context, services *registry.Store, svc *corev1.Service, err error) error {
	if _, missing := services.Get(ctx, svc.Name, &metav1.GetOptions{}); missing != nil {
		return err
	}
	return apierrors.NewAlreadyExists(corev1.Resource("services"), svc.Name)
}

func (h *serviceHooks) beginUpdate(ctx context.Context, obj, oldObj runtime.Object,
	options *metav1.UpdateOptions) (registry.FinishFunc, error) {
	svc, old := obj.(*corev1.Service), oldObj.(*corev1.Service)
	validation.DefaultServiceOnRead(old)
	validation.PrepareServiceUpdate(svc, old)
	if errs := h.initFamilies(ctx, svc, old); len(errs) > 0 {
		return nil, invalidService(svc, errs)
	}
	return h.allocate(ctx, svc, old, len(options.DryRun) > 0)
}

// initFamilies sets the address families of svc. It begins with reverting an earlier try of this update, which was not
// written.
func (h *serviceHooks) initFamilies(ctx context.Context, svc, old *corev1.Service) field.ErrorList {
	updateOf(ctx).finish(ctx, false)
	return validation.InitIPFamilies(svc, old, h.allocator.Families())
}

// allocate takes what svc asks for and old lacks; old is nil for a new Service. The returned function commits or
// reverts the allocation. For an update it leaves the commit to serviceREST.
func (h *serviceHooks) allocate(ctx context.Context, svc, old *corev1.Service, dryRun bool) (registry.FinishFunc,
	error) {
	update := updateOf(ctx)
	txn, errs, err := h.allocator.Allocate(ctx, svc, old, dryRun)
	if err == nil && len(errs) > 0 {
		err = invalidService(svc, errs)
	}
	if err != nil {
		return nil, err
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

func invalidService(svc *corev1.Service, errs field.ErrorList) error {
	return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), svc.Name, errs)
}

// deleted releases what a deleted Service held, and deletes its Endpoints. If that fails, the repairer and the
// controller clean up; the client's request has succeeded already.
func (h *serviceHooks) deleted(svc *corev1.Service) {
	ctx := resource.WithNamespace(context.Background(), svc.Namespace)
	h.allocator.ReleaseAll(ctx, svc)
	_, _, _ = h.endpoints.Delete(ctx, svc.Name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
}

// serviceREST commits or reverts the allocation of an update after its write. The registry's finish functions cannot do
// so. They are called before the write, and a write that conflicts is tried again on the newer object, or refused.
type serviceREST struct{ *resource.REST }

// Update implements rest.Updater.
func (r *serviceREST) Update(ctx context.Context, name string, obj rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, forceCreate bool,
	options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	u := &serviceUpdate{}
	stored, created, err := r.REST.Update(context.WithValue(ctx, serviceUpdateKey{}, u), name, obj, create, update,
		forceCreate, options)
	u.finish(ctx, err == nil)
	return stored, created, err
}

// serviceUpdate is one update of a Service. It is nil for a create, which the registry finishes after the write.
type serviceUpdate struct {
	txn *allocation.Transaction // of the latest try that reached the write
}

type serviceUpdateKey struct{}

func updateOf(ctx context.Context) *serviceUpdate {
	u, _ := ctx.Value(serviceUpdateKey{}).(*serviceUpdate)
	return u
}

// finish commits or reverts the latest try.
func (u *serviceUpdate) finish(ctx context.Context, written bool) {
	if u == nil || u.txn == nil {
		return
	}
	if written {
		u.txn.Commit(ctx)
	} else {
		u.txn.Revert(ctx)
	}
	u.txn = nil
}
