package resource

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// interning is a storage whose watches return successive versions of an object that share memory where they are equal.
//
// The watch cache keeps every version of more than a minute, for clients that resume. Endpoints of fifty Pods that
// become ready one after another are fifty versions, and each differs from the one before in one address. Decoded on
// their own, they would be most of the server's memory. Sharing is safe: an object in a cache is never changed.
type interning struct {
	storage.Interface
	intern func(obj, before Object)
}

func (s Storing[T]) intern() func(obj, before Object) {
	if s.Intern == nil {
		return nil
	}
	return func(obj, before Object) { s.Intern(obj.(T), before.(T)) }
}

// Watch implements storage.Interface.
func (s interning) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	w, err := s.Interface.Watch(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	latest := map[types.NamespacedName]Object{}
	return watch.Filter(w, func(e watch.Event) (watch.Event, bool) {
		decoded := e.Object
		if timed, ok := decoded.(storage.WatchEventWithRecordTime); ok {
			decoded = timed.Unwrap()
		}
		obj, ok := decoded.(Object)
		if !ok {
			return e, true // an error, for example
		}
		name := types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}
		switch e.Type {
		case watch.Deleted:
			delete(latest, name)
		case watch.Added, watch.Modified:
			if before, ok := latest[name]; ok {
				s.intern(obj, before)
			}
			latest[name] = obj
		}
		return e, true
	}), nil
}
