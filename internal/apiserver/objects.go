package apiserver

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// objects reads and writes one resource for a part of the server itself: not as a client, so nobody has to be allowed
// to, and admission has no say.
type objects[T object] struct {
	store  *registry.Store
	status *registry.Store // of the status subresource; nil where there is none
	types  *runtime.Scheme // for the defaults
}

// Get implements allocation.Reader.
func (o objects[T]) Get(ctx context.Context, namespace, name, resourceVersion string) (T, error) {
	obj, err := o.store.Get(withNamespace(ctx, namespace), name, &metav1.GetOptions{ResourceVersion: resourceVersion})
	return typed[T](obj, err)
}

// List implements allocation.Reader, over all namespaces.
func (o objects[T]) List(ctx context.Context, resourceVersion string) ([]T, error) {
	list, err := o.store.List(withNamespace(ctx, ""), &internalversion.ListOptions{ResourceVersion: resourceVersion})
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

// Create implements allocation.Store.
func (o objects[T]) Create(ctx context.Context, obj T) (T, error) {
	o.types.Default(obj)
	made, err := o.store.Create(withNamespace(ctx, obj.GetNamespace()), obj, rest.ValidateAllObjectFunc,
		&metav1.CreateOptions{})
	return typed[T](made, err)
}

// Delete implements allocation.Store.
func (o objects[T]) Delete(ctx context.Context, obj T) error {
	uid := obj.GetUID()
	options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}
	_, _, err := o.store.Delete(withNamespace(ctx, obj.GetNamespace()), obj.GetName(), rest.ValidateAllObjectFunc, options)
	return err
}

// Update implements allocation.Changer: change edits the latest version, until nobody else writes in between.
func (o objects[T]) Update(ctx context.Context, namespace, name string, change func(T)) error {
	return update(ctx, o.store, namespace, name, change)
}

// UpdateStatus implements allocation.Changer, for the status alone.
func (o objects[T]) UpdateStatus(ctx context.Context, namespace, name string, change func(T)) error {
	return update(ctx, o.status, namespace, name, change)
}

func update[T object](ctx context.Context, store *registry.Store, namespace, name string, change func(T)) error {
	transform := func(_ context.Context, _, stored runtime.Object) (runtime.Object, error) {
		obj, err := typed[T](stored.DeepCopyObject(), nil)
		if err == nil {
			change(obj)
		}
		return obj, err
	}
	_, _, err := store.Update(withNamespace(ctx, namespace), name, rest.DefaultUpdatedObjectInfo(nil, transform),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	return err
}

func typed[T object](obj runtime.Object, err error) (T, error) {
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
