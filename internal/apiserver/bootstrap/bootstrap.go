// Package bootstrap keeps what every cluster has: the system namespaces, the Service kubernetes with the endpoints of
// all API servers, and the built-in roles. Several servers over one etcd may do so at once.
package bootstrap

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/kinds"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/store"
)

const (
	// startTimeout bounds what the server writes for itself at its start.
	startTimeout = 30 * time.Second
	// leaveTimeout bounds what it writes at its end. After that the other servers see its lease expire.
	leaveTimeout = 5 * time.Second
	// interval is how often the objects are checked; kube-apiserver's.
	interval = 10 * time.Second
	// retryInterval is how soon a failed check is retried: the other servers take this one for dead after leaseTTL.
	retryInterval = time.Second
	// startRetryInterval is how soon a failed first run is retried.
	startRetryInterval = 20 * time.Millisecond
)

// Config says what a Bootstrap writes and where. All fields are required, except Advertise.
type Config struct {
	Etcd      *store.Store
	Kinds     *kinds.Set
	ClusterIP netip.Addr     // of the Service kubernetes
	Port      uint16         // where this server listens
	Advertise netip.AddrPort // where clients on other hosts reach this server; invalid: it is not published
	Log       *slog.Logger
}

// Bootstrap keeps the system namespaces and the Service kubernetes with its endpoints.
type Bootstrap struct {
	namespaces resource.Storage[*corev1.Namespace]
	services   resource.Storage[*corev1.Service]
	endpoints  resource.Storage[*corev1.Endpoints]
	slices     resource.Storage[*discoveryv1.EndpointSlice]
	clusterIP  netip.Addr // of the Service kubernetes
	port       uint16     // of this server
	log        *slog.Logger

	writing sync.Mutex // held from reading the objects until they are written
	leases  *leases    // guarded by writing

	missing chan struct{} // holds one element after the Service kubernetes was deleted
}

// New returns a Bootstrap. It starts nothing.
func New(c Config) *Bootstrap {
	b := &Bootstrap{
		namespaces: c.Kinds.Namespaces, services: c.Kinds.Services, endpoints: c.Kinds.Endpoints,
		slices: c.Kinds.EndpointSlices, clusterIP: c.ClusterIP, port: c.Port, log: c.Log,
		leases: newLeases(c.Etcd, c.Advertise), missing: make(chan struct{}, 1),
	}
	b.services.OnDelete(b.serviceDeleted)
	return b
}

// serviceDeleted makes Run create the Service kubernetes again at once.
func (b *Bootstrap) serviceDeleted(svc *corev1.Service) {
	if svc.Namespace != metav1.NamespaceDefault || svc.Name != serviceName {
		return
	}
	select {
	case b.missing <- struct{}{}:
	default: // Run is about to
	}
}

// Run creates again what was deleted, until ctx ends. It renews the lease of this server, and updates the endpoints of
// the Service kubernetes when other servers start or end.
func (b *Bootstrap) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	changes := b.leases.watch(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if changes == nil {
				changes = b.leases.watch(ctx)
			}
		case <-b.missing:
		case _, open := <-changes:
			if !open {
				changes = nil // etcd is not reachable; try again at the next tick
			}
		}
		if err := b.reconcileInTime(ctx); err != nil && ctx.Err() == nil {
			b.log.Warn("reconciling the system namespaces and the service kubernetes", "err", err)
			tick.Reset(retryInterval)
			continue
		}
		tick.Reset(interval)
	}
}

// Start creates what does not exist yet, and returns when that is done, or after startTimeout: Run continues. It
// retries, because several servers that start over an empty etcd conflict for a moment: each claims the address of the
// Service kubernetes, and the slower ones find the address taken before they see the Service.
func (b *Bootstrap) Start(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var err error
	_ = wait.PollUntilContextCancel(ctx, startRetryInterval, true, func(ctx context.Context) (bool, error) {
		err = b.reconcile(ctx)
		return err == nil, nil
	})
	if err != nil {
		b.log.Warn("creating the system namespaces and the service kubernetes", "err", err)
	}
}

// reconcileInTime is reconcile within leaveTimeout.
func (b *Bootstrap) reconcileInTime(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	return b.reconcile(ctx)
}

// reconcile creates what does not exist, and updates the endpoints of the Service kubernetes.
func (b *Bootstrap) reconcile(ctx context.Context) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic,
		corev1.NamespaceNodeLease} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name,
			Labels: map[string]string{corev1.LabelMetadataName: name}}}
		if err := createIfMissing(ctx, b.namespaces, ns); err != nil {
			return fmt.Errorf("creating namespace %s: %w", name, err)
		}
	}
	if err := createIfMissing(ctx, b.services, kubernetesService(b.clusterIP, b.port)); err != nil {
		return fmt.Errorf("creating the service kubernetes: %w", err)
	}
	servers, err := b.leases.refresh(ctx)
	if err != nil {
		return err
	}
	if len(servers) == 0 {
		return nil // this server is not published, and sees no other; the endpoints may come from elsewhere
	}
	return b.publish(ctx, servers)
}

// Leave removes this server from the endpoints of the Service kubernetes. It is called before the server ends.
func (b *Bootstrap) Leave() error {
	b.writing.Lock()
	defer b.writing.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := b.leases.leave(ctx); err != nil || b.leases.exclusive {
		return err
	}
	servers, err := b.leases.refresh(ctx)
	if err != nil {
		return err
	}
	return b.publish(ctx, servers)
}

// createIfMissing stores obj unless an object of this name exists. It reads etcd: the cache may still show an object
// that was deleted.
func createIfMissing[T resource.Object](ctx context.Context, storage resource.Storage[T], obj T) error {
	if _, err := storage.Get(ctx, obj.GetNamespace(), obj.GetName(), ""); err == nil {
		return nil
	}
	_, err := storage.Create(ctx, obj)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// put makes the stored object equal to obj, except for its metadata. It creates the object if it does not exist, and
// writes nothing if it is equal already.
func put[T resource.Object](ctx context.Context, storage resource.Storage[T], obj T) error {
	storage.Scheme.Default(obj)
	ctx = resource.WithNamespace(ctx, obj.GetNamespace())
	change := func(_ context.Context, _, stored runtime.Object) (runtime.Object, error) {
		want := obj.DeepCopyObject().(resource.Object)
		if was, ok := stored.(resource.Object); ok && was.GetResourceVersion() != "" {
			keepMeta(want, was)
		}
		return want, nil
	}
	_, _, err := storage.Main.Update(ctx, obj.GetName(), rest.DefaultUpdatedObjectInfo(nil, change),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, true, &metav1.UpdateOptions{})
	return err
}

func keepMeta(want, was resource.Object) {
	labels := want.GetLabels()
	want.SetUID(was.GetUID())
	want.SetCreationTimestamp(was.GetCreationTimestamp())
	want.SetResourceVersion(was.GetResourceVersion())
	want.SetGeneration(was.GetGeneration())
	want.SetManagedFields(was.GetManagedFields())
	want.SetLabels(labels)
}
