package apiserver

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/allocation"
)

// serviceREST settles what an update has allocated once it is known how the update ended. The registry's own finish
// functions cannot: they are called before the write, and a write that meets another one is tried again on what that
// one left, or refused.
type serviceREST struct{ *resourceREST }

// Update implements rest.Updater.
func (r *serviceREST) Update(ctx context.Context, name string, obj rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, forceCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	u := &serviceUpdate{}
	stored, created, err := r.resourceREST.Update(context.WithValue(ctx, serviceUpdateKey{}, u), name, obj, create, update,
		forceCreate, options)
	u.settle(ctx, err == nil)
	return stored, created, err
}

// serviceUpdate is one update of a Service; nil stands for a create, which the registry finishes after its write.
type serviceUpdate struct {
	txn *allocation.Transaction // of the latest try, if that got as far as the write
}

type serviceUpdateKey struct{}

func updateOf(ctx context.Context) *serviceUpdate {
	u, _ := ctx.Value(serviceUpdateKey{}).(*serviceUpdate)
	return u
}

// settle keeps or undoes the latest try.
func (u *serviceUpdate) settle(ctx context.Context, written bool) {
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
