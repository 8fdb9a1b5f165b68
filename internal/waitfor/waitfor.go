// Package waitfor waits until an API object is in a wanted state, by watching it.
package waitfor

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// A Kind names the objects that are watched.
type Kind struct {
	Client    cache.Getter // a REST client of the object's API group
	Resource  string       // in the plural, for example "pods"
	Namespace string
}

// Object watches objects of a kind until one exists for which done returns true, and returns that object. An empty name
// means any object of the namespace. example is an empty object of the type. The error names the last state that was
// seen, and wraps the context's error if ctx ended.
func Object[T runtime.Object](ctx context.Context, k Kind, name string, example T, done func(T) bool) (T, error) {
	selector := fields.Everything()
	if name != "" {
		selector = fields.OneTermEqualSelector("metadata.name", name)
	}
	var found, last T
	objects := cache.NewListWatchFromClient(k.Client, k.Resource, k.Namespace, selector)
	_, err := watchtools.UntilWithSync(ctx, objects, example, nil, func(e watch.Event) (bool, error) {
		object, ok := e.Object.(T)
		if !ok || e.Type == watch.Deleted {
			return false, nil
		}
		last = object
		if done(object) {
			found = object
			return true, nil
		}
		return false, nil
	})
	if err != nil {
		return found, fmt.Errorf("waiting for %s %s/%s: %w; last seen: %+v", k.Resource, k.Namespace, name, err, last)
	}
	return found, nil
}
