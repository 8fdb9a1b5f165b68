package resource

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Storage reads and writes the objects of one resource for the server itself. Calls bypass authorization and
// admission; defaulting, validation and allocation apply.
type Storage[T Object] struct {
	Main     *registry.Store
	Status   *registry.Store // of the status subresource; nil if the resource has none
	Finalize *registry.Store // of the finalize subresource; nil if the resource has none
	Scheme   *runtime.Scheme // for the defaults

	deleted *observers[T]
}

// OnDelete adds a function that is called after each deletion of an object, unless it is a dry run. It must be called
// before Builder.Complete. The client waits for observe to return.
func (s Storage[T]) OnDelete(observe func(T)) { s.deleted.all = append(s.deleted.all, observe) }

// StatusUpdater returns the handler of the status subresource.
func (s Storage[T]) StatusUpdater() rest.Updater { return subresourceREST{s.Status} }

// FinalizeUpdater returns the handler of the finalize subresource.
func (s Storage[T]) FinalizeUpdater() rest.Updater { return subresourceREST{s.Finalize} }

// Get returns one object. resourceVersion is that of a get request: "" reads etcd, "0" the watch cache. The error
// NotFound names the resource of the request in ctx, which may be another one.
func (s Storage[T]) Get(ctx context.Context, namespace, name, resourceVersion string) (T, error) {
	obj, err := s.Main.Get(WithNamespace(ctx, namespace), name, &metav1.GetOptions{ResourceVersion: resourceVersion})
	return typed[T](obj, err)
}

// FromCache returns one object as the watch cache has it. The error NotFound names this resource.
func (s Storage[T]) FromCache(ctx context.Context, namespace, name string) (T, error) {
	return s.Get(s.withRequestInfo(ctx), namespace, name, "0")
}

// FromStore returns one object as etcd has it. The error NotFound names this resource.
func (s Storage[T]) FromStore(ctx context.Context, namespace, name string) (T, error) {
	return s.Get(s.withRequestInfo(ctx), namespace, name, "")
}

// CacheThenStore returns one object as the watch cache has it, if accept returns true for it. Otherwise it reads etcd:
// the cache may not have seen a recent write yet.
func (s Storage[T]) CacheThenStore(ctx context.Context, namespace, name string, accept func(T) bool) (T, error) {
	if cached, err := s.FromCache(ctx, namespace, name); err == nil && accept(cached) {
		return cached, nil
	}
	return s.FromStore(ctx, namespace, name)
}

// withRequestInfo makes the library's errors name this resource. Without it they name the resource of the request.
func (s Storage[T]) withRequestInfo(ctx context.Context) context.Context {
	resource := s.Main.DefaultQualifiedResource
	return apirequest.WithRequestInfo(ctx, &apirequest.RequestInfo{IsResourceRequest: true, APIGroup: resource.Group,
		Resource: resource.Resource})
}

// List returns the objects of all namespaces. resourceVersion is that of a list request: "" reads etcd, "0" the watch
// cache.
func (s Storage[T]) List(ctx context.Context, resourceVersion string) ([]T, error) {
	return s.Select(ctx, "", &internalversion.ListOptions{ResourceVersion: resourceVersion})
}

// Select returns the objects of one namespace, or of all if it is "", that options selects.
func (s Storage[T]) Select(ctx context.Context, namespace string, options *internalversion.ListOptions) ([]T, error) {
	list, err := s.Main.List(WithNamespace(ctx, namespace), options)
	if err != nil {
		return nil, err
	}
	items := make([]T, 0, meta.LenList(list))
	err = meta.EachListItem(list, func(obj runtime.Object) error {
		item, err := typed[T](obj, nil)
		items = append(items, item)
		return err
	})
	return items, err
}

// Create stores a new object and returns it as stored. It fills the defaults of obj.
func (s Storage[T]) Create(ctx context.Context, obj T) (T, error) {
	s.Scheme.Default(obj)
	made, err := s.Main.Create(WithNamespace(ctx, obj.GetNamespace()), obj, rest.ValidateAllObjectFunc,
		&metav1.CreateOptions{})
	return typed[T](made, err)
}

// Delete deletes the object that has the name and the UID of obj.
func (s Storage[T]) Delete(ctx context.Context, obj T) error {
	uid := obj.GetUID()
	options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}
	_, _, err := s.Main.Delete(WithNamespace(ctx, obj.GetNamespace()), obj.GetName(), rest.ValidateAllObjectFunc, options)
	return err
}

// Update applies change to the latest version of an object, and again after each conflict.
func (s Storage[T]) Update(ctx context.Context, namespace, name string, change func(T)) error {
	return update(ctx, s.Main, namespace, name, change)
}

// UpdateStatus is Update through the status subresource.
func (s Storage[T]) UpdateStatus(ctx context.Context, namespace, name string, change func(T)) error {
	return update(ctx, s.Status, namespace, name, change)
}

func update[T Object](ctx context.Context, store *registry.Store, namespace, name string, change func(T)) error {
	transform := func(_ context.Context, _, stored runtime.Object) (runtime.Object, error) {
		obj, err := typed[T](stored.DeepCopyObject(), nil)
		if err == nil {
			change(obj)
		}
		return obj, err
	}
	_, _, err := store.Update(WithNamespace(ctx, namespace), name, rest.DefaultUpdatedObjectInfo(nil, transform),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	return err
}

func typed[T Object](obj runtime.Object, err error) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	t, ok := obj.(T)
	if !ok {
		return none, fmt.Errorf("the store holds a %T, not a %T", obj, none)
	}
	return t, nil
}

// WithNamespace adds the namespace of a request to ctx: the library's storages read it there.
func WithNamespace(ctx context.Context, namespace string) context.Context {
	return apirequest.WithNamespace(ctx, namespace)
}
