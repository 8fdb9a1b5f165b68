package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Resource is one kind of object, and where it is stored.
type Resource struct {
	schema.GroupResource
	Kind       string
	Namespaced bool
	Store      Store // of a namespaced resource a rest.CollectionDeleter, too
}

// Store is what the storage of a resource can do.
type Store interface {
	rest.Getter
	rest.Lister
	rest.Watcher
	rest.Creater
	rest.Updater
	rest.GracefulDeleter
}

// is says whether ref means an object of this resource. One version is as good as another.
func (r *Resource) is(ref metav1.OwnerReference) bool {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	return err == nil && gv.Group == r.Group && ref.Kind == r.Kind
}

// in is ctx for requests to a namespace, "" for all or none.
func in(ctx context.Context, namespace string) context.Context {
	return apirequest.WithNamespace(ctx, namespace)
}

// retryAfter is the pause after a watch was lost.
const retryAfter = 100 * time.Millisecond

// observer hears of all objects. It must not change, nor keep, what it is given: it belongs to a cache.
type observer interface {
	seen(r *Resource, obj metav1.Object)
	gone(r *Resource, obj metav1.Object)       // as it was last
	are(r *Resource, there map[types.UID]bool) // all others are gone
}

// follow tells what there is of one resource and what changes, until ctx ends. After the first complete answer it calls
// ready.
func follow(ctx context.Context, r *Resource, to observer, ready func(), log *slog.Logger) {
	for ctx.Err() == nil {
		err := followOnce(ctx, r, to, ready)
		if err != nil && ctx.Err() == nil {
			log.Warn("following objects; they are read again", "resource", r.String(), "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

// followOnce lists and then watches, and returns when the watch ends.
func followOnce(ctx context.Context, r *Resource, to observer, ready func()) error {
	list, err := r.Store.List(in(ctx, ""), &internalversion.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing: %w", err)
	}
	version, err := tell(list, r, to)
	if err != nil {
		return err
	}
	ready()
	w, err := r.Store.Watch(in(ctx, ""), &internalversion.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true})
	if err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-w.ResultChan():
			if !ok {
				return nil
			}
			if err := tellEvent(event, r, to); err != nil {
				return err
			}
		}
	}
}

// tell tells of all objects of a list, and returns its version.
func tell(list runtime.Object, r *Resource, to observer) (string, error) {
	there := map[types.UID]bool{}
	err := meta.EachListItem(list, func(item runtime.Object) error {
		obj, err := meta.Accessor(item)
		if err == nil {
			there[obj.GetUID()] = true
			to.seen(r, obj)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	to.are(r, there)
	of, err := meta.ListAccessor(list)
	if err != nil {
		return "", err
	}
	return of.GetResourceVersion(), nil
}

func tellEvent(event watch.Event, r *Resource, to observer) error {
	switch event.Type {
	case watch.Error:
		return fmt.Errorf("the watch ended: %v", event.Object)
	case watch.Bookmark:
		return nil
	}
	obj, err := meta.Accessor(event.Object)
	if err != nil {
		return err
	}
	if event.Type == watch.Deleted {
		to.gone(r, obj)
	} else {
		to.seen(r, obj)
	}
	return nil
}
