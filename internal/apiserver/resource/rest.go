package resource

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// REST handles the requests for one resource.
type REST struct {
	*registry.Store
	names Names
}

// ShortNames implements rest.ShortNamesProvider.
func (r *REST) ShortNames() []string { return r.names.Short }

// Categories implements rest.CategoriesProvider.
func (r *REST) Categories() []string { return r.names.Categories }

// Create implements rest.Creater. A new object with a resourceVersion is a bad request; the library returns the
// storage's error, which clients would see as status 500.
func (r *REST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	made, err := r.Store.Create(ctx, obj, validate, options)
	if errors.Is(err, storage.ErrResourceVersionSetOnCreate) {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return made, err
}

// Update implements rest.Updater.
func (r *REST) Update(ctx context.Context, name string, obj rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, forceCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.Store.Update(ctx, name, badRequestOnPatch{obj}, create, update, forceCreate, options)
}

// badRequestOnPatch turns the errors of a patch that cannot be applied into API errors. Some of the library's are not,
// and clients would see them as status 500.
type badRequestOnPatch struct{ rest.UpdatedObjectInfo }

// UpdatedObject implements rest.UpdatedObjectInfo.
func (p badRequestOnPatch) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	obj, err := p.UpdatedObjectInfo.UpdatedObject(ctx, old)
	var known apierrors.APIStatus
	if err != nil && !errors.As(err, &known) && ctx.Err() == nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return obj, err
}

// subresourceREST handles updates of a subresource.
type subresourceREST struct{ store *registry.Store }

// New implements rest.Storage.
func (r subresourceREST) New() runtime.Object { return r.store.New() }

// Destroy implements rest.Storage. The main resource owns the store.
func (r subresourceREST) Destroy() {}

// Update implements rest.Updater. An update of a subresource never creates an object.
func (r subresourceREST) Update(ctx context.Context, name string, obj rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool,
	options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, badRequestOnPatch{obj}, create, update, false, options)
}

// statusREST handles the requests for the status subresource.
type statusREST struct {
	subresourceREST
	reset rest.ResetFieldsStrategy
}

// Get implements rest.Getter.
func (r statusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (r statusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.reset.GetResetFields()
}

// ConvertToTable implements rest.TableConvertor.
func (r statusREST) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, obj, options)
}
