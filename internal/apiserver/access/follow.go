package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/storagewatch"
)

// Storage is the storage of one kind of object.
type Storage interface {
	List(ctx context.Context, options *internalversion.ListOptions) (runtime.Object, error)
	rest.Watcher
}

// Source is a storage and how recent its first list must be.
type Source struct {
	Storage
	Since string // the resourceVersion that the first list must include; "0" accepts any
}

// Sources are the four kinds of RBAC objects.
type Sources struct {
	Roles, RoleBindings, ClusterRoles, ClusterRoleBindings Source
	Log                                                    *slog.Logger
}

// follower keeps the index up to date. An event only says that a kind must be listed again, so no lost event can
// make the index wrong.
type follower struct {
	kinds   []*kind
	objects Objects // used by the goroutine of Run only
}

// kind is one of the four kinds of RBAC objects.
type kind struct {
	name    string
	source  Storage
	changed chan struct{} // holds one value when the kind must be listed again
	take    func(list runtime.Object) error
}

// Run lists the roles and bindings, and lists them again after each change, until ctx ends. It returns an error only
// if the first list fails.
func (r *RBAC) Run(ctx context.Context, sources Sources) error {
	f, err := newFollower(ctx, sources)
	if err != nil {
		return err
	}
	r.publish(compile(f.objects))
	var watching sync.WaitGroup
	defer watching.Wait()
	for _, k := range f.kinds {
		watching.Go(func() { k.watch(ctx, sources.Log) })
	}
	for f.next(ctx, sources.Log, r.publish) {
	}
	return nil
}

// newFollower lists each kind for the first time.
func newFollower(ctx context.Context, s Sources) (*follower, error) {
	f := &follower{}
	add := func(name string, source Source, take func(runtime.Object) error) error {
		k := &kind{name: name, source: source.Storage, take: take, changed: make(chan struct{}, 1)}
		f.kinds = append(f.kinds, k)
		return k.read(ctx, source.Since)
	}
	o := &f.objects
	return f, errors.Join(
		add("roles", s.Roles, taker(&o.Roles, func(l *rbacv1.RoleList) []rbacv1.Role { return l.Items })),
		add("rolebindings", s.RoleBindings, taker(&o.RoleBindings,
			func(l *rbacv1.RoleBindingList) []rbacv1.RoleBinding { return l.Items })),
		add("clusterroles", s.ClusterRoles, taker(&o.ClusterRoles,
			func(l *rbacv1.ClusterRoleList) []rbacv1.ClusterRole { return l.Items })),
		add("clusterrolebindings", s.ClusterRoleBindings,
			taker(&o.ClusterRoleBindings,
				func(l *rbacv1.ClusterRoleBindingList) []rbacv1.ClusterRoleBinding { return l.Items })),
	)
}

// taker returns a function that stores the items of a list in to.
func taker[L runtime.Object, T any](to *[]T, items func(L) []T) func(runtime.Object) error {
	return func(obj runtime.Object) error {
		list, ok := obj.(L)
		if !ok {
			var want L
			return fmt.Errorf("got a list of type %T, want %T", obj, want)
		}
		*to = items(list)
		return nil
	}
}

// next waits for a change, lists the kind that changed and publishes the result. It returns false when ctx ends.
// Under many changes it spends at most a quarter of the time.
func (f *follower) next(ctx context.Context, log *slog.Logger, publish func(*index)) bool {
	var k *kind
	select {
	case <-ctx.Done():
		return false
	case <-f.kinds[0].changed:
		k = f.kinds[0]
	case <-f.kinds[1].changed:
		k = f.kinds[1]
	case <-f.kinds[2].changed:
		k = f.kinds[2]
	case <-f.kinds[3].changed:
		k = f.kinds[3]
	}
	began := time.Now()
	if !k.readAgain(ctx, log) {
		return false
	}
	publish(compile(f.objects))
	return storagewatch.Pause(ctx, 3*time.Since(began))
}

// readAgain lists k until that succeeds or ctx ends. Any version is recent enough, since the cache has seen
// everything that its watchers have received.
func (k *kind) readAgain(ctx context.Context, log *slog.Logger) bool {
	for {
		err := k.read(ctx, "0")
		if err == nil {
			return true
		}
		log.Warn("listing roles and bindings; the previous rules stay in force", "err", err)
		if !storagewatch.Pause(ctx, storagewatch.RetryAfter) {
			return false
		}
	}
}

func (k *kind) read(ctx context.Context, since string) error {
	list, err := k.source.List(ctx, &internalversion.ListOptions{ResourceVersion: since})
	if err != nil {
		return fmt.Errorf("listing %s: %w", k.name, err)
	}
	return k.take(list)
}

// watch marks k as changed after each event, and after each watch that ended, since changes in between were missed.
func (k *kind) watch(ctx context.Context, log *slog.Logger) {
	options := &internalversion.ListOptions{}
	for {
		err := storagewatch.Once(ctx, k.source, options, func(watch.Event) error { k.mark(); return nil })
		if err != nil && ctx.Err() == nil {
			log.Warn("watching roles and bindings", "kind", k.name, "err", err)
		}
		if !storagewatch.Pause(ctx, storagewatch.RetryAfter) {
			return
		}
		k.mark()
	}
}

func (k *kind) mark() {
	select {
	case k.changed <- struct{}{}:
	default: // it is marked already
	}
}
