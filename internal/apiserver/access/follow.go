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
)

// Storage is where one kind of object is.
type Storage interface {
	List(ctx context.Context, options *internalversion.ListOptions) (runtime.Object, error)
	rest.Watcher
}

// Source is one kind of object.
type Source struct {
	Storage
	Since string // the resourceVersion that the first reading must have seen; "0" for whatever is there
}

// Sources are the four kinds.
type Sources struct {
	Roles, RoleBindings, ClusterRoles, ClusterRoleBindings Source
	Log                                                    *slog.Logger
}

// follower keeps the index up to date. An event says only that a kind has to be read again, so no event can be lost or
// misread.
type follower struct {
	kinds   []*kind
	objects Objects // owned by the goroutine of Run
}

// kind is one of the four.
type kind struct {
	name    string
	source  Storage
	changed chan struct{} // holds one when it has to be read again
	take    func(list runtime.Object) error
}

// Run reads the roles and bindings, and again after each change, until ctx ends. It fails only if they cannot be read
// the first time.
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

// newFollower reads each kind for the first time.
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

// taker puts the items of a list where they belong.
func taker[L runtime.Object, T any](to *[]T, items func(L) []T) func(runtime.Object) error {
	return func(obj runtime.Object) error {
		list, ok := obj.(L)
		if !ok {
			var want L
			return fmt.Errorf("a list of %T where %T was expected", obj, want)
		}
		*to = items(list)
		return nil
	}
}

// next waits for a change, reads what changed and publishes the result; it returns false when ctx ends. Under many
// changes it leaves three quarters of the time to others.
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
	return pause(ctx, 3*time.Since(began))
}

// readAgain reads k until it can be read, or until ctx ends. The cache has seen what its watchers were told of: any
// version will do.
func (k *kind) readAgain(ctx context.Context, log *slog.Logger) bool {
	for {
		err := k.read(ctx, "0")
		if err == nil {
			return true
		}
		log.Warn("reading who may do what; the rules as they were apply", "err", err)
		if !pause(ctx, retryAfter) {
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

// retryAfter is the pause after an error or a lost watch.
const retryAfter = 100 * time.Millisecond

// watch marks k as changed after each event, and after each watch that ended: whatever happened meanwhile was not
// heard.
func (k *kind) watch(ctx context.Context, log *slog.Logger) {
	for {
		if err := k.watchOnce(ctx); err != nil && ctx.Err() == nil {
			log.Warn("watching who may do what", "kind", k.name, "err", err)
		}
		if !pause(ctx, retryAfter) {
			return
		}
		k.mark()
	}
}

func (k *kind) watchOnce(ctx context.Context) error {
	w, err := k.source.Watch(ctx, &internalversion.ListOptions{})
	if err != nil {
		return err
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
			if event.Type == watch.Error {
				return fmt.Errorf("the watch ended: %v", event.Object)
			}
			k.mark()
		}
	}
}

func (k *kind) mark() {
	select {
	case k.changed <- struct{}{}:
	default: // it is marked
	}
}

// pause waits; it returns false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
