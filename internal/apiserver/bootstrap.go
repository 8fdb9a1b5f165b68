package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// bootstrapTimeout bounds what the server writes for itself at its start.
const bootstrapTimeout = 30 * time.Second

// leaveTimeout bounds what it writes at its end. Others notice by themselves, if later.
const leaveTimeout = 5 * time.Second

// lookAgain is how often the server sees to it that what it made is still there; upstream's interval.
const lookAgain = 10 * time.Second

// lookAgainFailed is how soon it tries again what failed: the others believe it dead after peerTTL.
const lookAgainFailed = time.Second

// bootstrap makes what every cluster has: the system namespaces, and the Service by which Pods reach the servers.
type bootstrap struct {
	schemes   *schemes
	stores    *stores
	clusterIP netip.Addr     // of the Service
	server    netip.AddrPort // where this server listens
	writing   sync.Mutex     // held while what is there is read and changed
	peers     *peers         // guarded by writing
	missing   chan struct{}  // holds one when something was deleted that has to be made again
}

// isMissed says that a Service was deleted; if it is ours it is made again at once.
func (b *bootstrap) isMissed(svc *corev1.Service) {
	if svc.Namespace != metav1.NamespaceDefault || svc.Name != serviceName {
		return
	}
	select {
	case b.missing <- struct{}{}:
	default: // it is being looked for already
	}
}

// keep makes again what somebody deleted, until ctx ends: `kubectl delete services --all` is soon said. It also tells
// that this server lives, and takes note when others come and go.
func (b *bootstrap) keep(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	changes := b.peers.watch(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if changes == nil {
				changes = b.peers.watch(ctx)
			}
		case <-b.missing:
		case _, open := <-changes:
			if !open {
				changes = nil // the store was away; try again at the next tick
			}
		}
		if err := b.once(ctx); err != nil && ctx.Err() == nil {
			log.Warn("keeping what every cluster has", "err", err)
			tick.Reset(lookAgainFailed)
			continue
		}
		tick.Reset(lookAgain)
	}
}

// beginAgain is how soon the first run is tried again.
const beginAgain = 20 * time.Millisecond

// begin is the first run. Several servers that start over an empty store are in one another's way for a moment: each
// claims the address of the Service kubernetes, and those that come too late find it taken before they can find the
// Service. So it is tried until it is done. A server that cannot do it for long goes on as it is, for keep will not
// stop trying.
func (b *bootstrap) begin(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, bootstrapTimeout)
	defer cancel()
	var err error
	_ = wait.PollUntilContextCancel(ctx, beginAgain, true, func(ctx context.Context) (bool, error) {
		err = b.run(ctx)
		return err == nil, nil
	})
	if err != nil {
		log.Warn("making what every cluster has", "err", err)
	}
}

// once is run, with an end.
func (b *bootstrap) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	return b.run(ctx)
}

// waitForCaches returns when every watch cache has been filled. It polls faster than the library's own hook: an empty
// cache is ready within two milliseconds.
func (b *bootstrap) waitForCaches(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, store := range b.stores.all {
		for store.ReadinessCheckFunc() != nil {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
	}
	return nil
}

// run makes what is not there.
func (b *bootstrap) run(ctx context.Context) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic,
		corev1.NamespaceNodeLease} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name,
			Labels: map[string]string{corev1.LabelMetadataName: name}}}
		if err := b.create(ctx, b.stores.namespaces, "", ns); err != nil {
			return fmt.Errorf("creating namespace %s: %w", name, err)
		}
	}
	own := ownService(b.clusterIP, b.server.Port())
	if err := b.create(ctx, b.stores.services, metav1.NamespaceDefault, own); err != nil {
		return fmt.Errorf("creating the service kubernetes: %w", err)
	}
	servers, err := b.peers.refresh(ctx)
	if err != nil {
		return err
	}
	if len(servers) == 0 {
		return nil // this one is not to be published, and who wrote the endpoints may know better than one who sees nobody
	}
	return b.publish(ctx, servers)
}

// leave takes this server out of the endpoints that others over the same store serve from; it is about to end.
func (b *bootstrap) leave() error {
	b.writing.Lock() // not between what keep reads and what it makes of it
	defer b.writing.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := b.peers.leave(ctx); err != nil || b.peers.alone {
		return err
	}
	servers, err := b.peers.refresh(ctx)
	if err != nil {
		return err
	}
	return b.publish(ctx, servers)
}

// create stores obj; that it is there already is fine, whoever changed it since.
func (b *bootstrap) create(ctx context.Context, store *registry.Store, namespace string, obj object) error {
	// Read past the cache: it may still show what was deleted a moment ago.
	if _, err := store.Get(withNamespace(ctx, namespace), obj.GetName(), &metav1.GetOptions{}); err == nil {
		return nil
	}
	b.schemes.types.Default(obj)
	_, err := store.Create(withNamespace(ctx, namespace), obj, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// put makes the stored object equal to obj; it writes nothing if it is.
func (b *bootstrap) put(ctx context.Context, store *registry.Store, obj object) error {
	b.schemes.types.Default(obj)
	ctx = withNamespace(ctx, obj.GetNamespace())
	change := func(_ context.Context, _, stored runtime.Object) (runtime.Object, error) {
		want := obj.DeepCopyObject().(object)
		if was, ok := stored.(object); ok && was.GetResourceVersion() != "" {
			keepMeta(want, was)
		}
		return want, nil
	}
	_, _, err := store.Update(ctx, obj.GetName(), rest.DefaultUpdatedObjectInfo(nil, change),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, true, &metav1.UpdateOptions{})
	return err
}

func keepMeta(want, was object) {
	labels := want.GetLabels()
	want.SetUID(was.GetUID())
	want.SetCreationTimestamp(was.GetCreationTimestamp())
	want.SetResourceVersion(was.GetResourceVersion())
	want.SetGeneration(was.GetGeneration())
	want.SetManagedFields(was.GetManagedFields())
	want.SetLabels(labels)
}
