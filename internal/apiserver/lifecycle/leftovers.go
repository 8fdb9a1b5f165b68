package lifecycle

import (
	"context"
	"errors"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// leftovers counts what is still in a namespace.
type leftovers struct {
	objects    map[string]int // number by resource
	finalizers map[string]int // number of objects by finalizer
}

func (left *leftovers) isEmpty() bool { return len(left.objects) == 0 }

// deleteAll deletes the objects of r, unless all of them are being deleted already, and counts the objects that are
// left.
func (left *leftovers) deleteAll(ctx context.Context, r *Resource) error {
	list, err := r.Store.List(ctx, &internalversion.ListOptions{})
	if err != nil {
		return err
	}
	if allEnding(list) {
		return left.addAll(r, list)
	}
	collection, ok := r.Store.(rest.CollectionDeleter)
	if !ok {
		return errors.New("the storage cannot delete a collection")
	}
	background := metav1.DeletePropagationBackground
	options := &metav1.DeleteOptions{PropagationPolicy: &background}
	if _, err := collection.DeleteCollection(ctx, rest.ValidateAllObjectFunc, options,
		&internalversion.ListOptions{}); err != nil {
		return err
	}
	if list, err = r.Store.List(ctx, &internalversion.ListOptions{}); err != nil {
		return err
	}
	return left.addAll(r, list)
}

func allEnding(list runtime.Object) bool {
	alive := errors.New("an object is not being deleted")
	return meta.EachListItem(list, func(item runtime.Object) error {
		if obj, err := meta.Accessor(item); err != nil || obj.GetDeletionTimestamp() == nil {
			return alive
		}
		return nil
	}) == nil
}

func (left *leftovers) addAll(r *Resource, list runtime.Object) error {
	return meta.EachListItem(list, func(item runtime.Object) error {
		obj, err := meta.Accessor(item)
		if err == nil {
			left.add(r, obj)
		}
		return err
	})
}

func (left *leftovers) add(r *Resource, obj metav1.Object) {
	if left.objects == nil {
		left.objects, left.finalizers = map[string]int{}, map[string]int{}
	}
	left.objects[strings.TrimSuffix(r.Resource+"."+r.Group, ".")]++
	for _, f := range obj.GetFinalizers() {
		left.finalizers[f]++
	}
}
