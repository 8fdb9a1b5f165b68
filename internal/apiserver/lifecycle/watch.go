package lifecycle

import (
	"context"
	"fmt"
	"log/slog"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/storagewatch"
)

// Resource is one kind of object and its storage.
type Resource struct {
	schema.GroupResource
	Kind       string
	Namespaced bool
	Store      Store // a rest.CollectionDeleter too if the resource is namespaced
}

// Store is what lifecycle needs from the storage of a resource.
type Store interface {
	rest.Getter
	rest.Lister
	rest.Watcher
	rest.Creater
	rest.Updater
	rest.GracefulDeleter
}

// is reports whether ref refers to this resource, whatever version it names.
func (r *Resource) is(ref metav1.OwnerReference) bool {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	return err == nil && gv.Group == r.Group && ref.Kind == r.Kind
}

// in returns ctx for requests to a namespace; "" is for cluster-scoped objects and for all namespaces.
func in(ctx context.Context, namespace string) context.Context {
	return apirequest.WithNamespace(ctx, namespace)
}

// observer receives all objects. It must not change or keep the objects, since a cache owns them.
type observer interface {
	onUpdate(r *Resource, obj metav1.Object)
	onDelete(r *Resource, obj metav1.Object)        // obj is the last known state
	onRelist(r *Resource, exist map[types.UID]bool) // all other objects of r are deleted
}

// follow passes the objects of one resource and their changes to an observer until ctx ends. It calls ready after each
// complete list.
func follow(ctx context.Context, r *Resource, to observer, ready func(), log *slog.Logger) {
	for ctx.Err() == nil {
		if err := listAndWatch(ctx, r, to, ready); err != nil && ctx.Err() == nil {
			log.Warn("watching objects; they are listed again", "resource", r.String(), "err", err)
		}
		storagewatch.Pause(ctx, storagewatch.RetryAfter)
	}
}

// listAndWatch lists and then watches. It returns when the watch ends.
func listAndWatch(ctx context.Context, r *Resource, to observer, ready func()) error {
	list, err := r.Store.List(in(ctx, ""), &internalversion.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing: %w", err)
	}
	version, err := handleList(list, r, to)
	if err != nil {
		return err
	}
	ready()
	options := &internalversion.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true}
	return storagewatch.Once(in(ctx, ""), r.Store, options, func(event watch.Event) error {
		return handleEvent(event, r, to)
	})
}

// handleList passes the objects of a list to an observer and returns the version of the list.
func handleList(list runtime.Object, r *Resource, to observer) (string, error) {
	exist := map[types.UID]bool{}
	err := meta.EachListItem(list, func(item runtime.Object) error {
		obj, err := meta.Accessor(item)
		if err == nil {
			exist[obj.GetUID()] = true
			to.onUpdate(r, obj)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	to.onRelist(r, exist)
	of, err := meta.ListAccessor(list)
	if err != nil {
		return "", err
	}
	return of.GetResourceVersion(), nil
}

func handleEvent(event watch.Event, r *Resource, to observer) error {
	if event.Type == watch.Bookmark {
		return nil
	}
	obj, err := meta.Accessor(event.Object)
	if err != nil {
		return err
	}
	if event.Type == watch.Deleted {
		to.onDelete(r, obj)
	} else {
		to.onUpdate(r, obj)
	}
	return nil
}
