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

// remains is what is still in a namespace.
type remains struct {
	objects    map[string]int // resource → how many
	finalizers map[string]int // finalizer → how many objects it holds
}

func (left *remains) nothing() bool { return len(left.objects) == 0 }

// deleteAll deletes the objects of r, unless they all are being deleted already, and counts what is left.
func (left *remains) deleteAll(ctx context.Context, r *Resource) error {
	list, err := r.Store.List(ctx, &internalversion.ListOptions{})
	if err != nil {
		return err
	}
	if allEnding(list) {
		return left.addAll(r, list)
	}
	collection, ok := r.Store.(rest.CollectionDeleter)
	if !ok {
		return errors.New("they cannot be deleted together")
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
	lives := errors.New("one lives")
	return meta.EachListItem(list, func(item runtime.Object) error {
		if obj, err := meta.Accessor(item); err != nil || obj.GetDeletionTimestamp() == nil {
			return lives
		}
		return nil
	}) == nil
}

func (left *remains) addAll(r *Resource, list runtime.Object) error {
	return meta.EachListItem(list, func(item runtime.Object) error {
		obj, err := meta.Accessor(item)
		if err == nil {
			left.add(r, obj)
		}
		return err
	})
}

func (left *remains) add(r *Resource, obj metav1.Object) {
	if left.objects == nil {
		left.objects, left.finalizers = map[string]int{}, map[string]int{}
	}
	left.objects[strings.TrimSuffix(r.Resource+"."+r.Group, ".")]++
	for _, f := range obj.GetFinalizers() {
		left.finalizers[f]++
	}
}
