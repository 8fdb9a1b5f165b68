package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// bootstrapTimeout bounds what the server writes for itself at its start.
const bootstrapTimeout = 30 * time.Second

// lookAgain is how often the server sees to it that what it made is still there; upstream's interval.
const lookAgain = 10 * time.Second

// bootstrap makes what every cluster has: the system namespaces, and the Service by which Pods reach this server.
type bootstrap struct {
	schemes      *schemes
	stores       *stores
	alloc        *serviceAllocator
	server       netip.AddrPort // where this server listens
	loopbackMode bool           // loopback addresses may be endpoints
	missing      chan struct{}  // holds one when something was deleted that has to be made again
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

// keep makes again what somebody deleted, until ctx ends: `kubectl delete services --all` is soon said.
func (b *bootstrap) keep(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-b.missing:
		}
		if err := b.run(ctx); err != nil && ctx.Err() == nil {
			log.Warn("keeping what every cluster has", "err", err)
		}
	}
}

// seed tells the allocator what the stored Services hold. It runs before the first request is served.
func (b *bootstrap) seed(ctx context.Context) error {
	if err := b.waitForCaches(ctx); err != nil {
		return err
	}
	obj, err := b.stores.services.List(withNamespace(ctx, ""), nil)
	if err != nil {
		return fmt.Errorf("reading the stored services: %w", err)
	}
	for i := range obj.(*corev1.ServiceList).Items {
		b.alloc.seed(&obj.(*corev1.ServiceList).Items[i])
	}
	return nil
}

// waitForCaches returns when every watch cache has been filled. It polls faster than the library's own hook: an empty cache is ready
// within two milliseconds.
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

func (b *bootstrap) run(ctx context.Context) error {
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}}}
		if err := b.create(ctx, b.stores.namespaces, "", ns); err != nil {
			return fmt.Errorf("creating namespace %s: %w", name, err)
		}
	}
	if err := b.create(ctx, b.stores.services, metav1.NamespaceDefault, b.service()); err != nil {
		return fmt.Errorf("creating the service kubernetes: %w", err)
	}
	if b.server.Addr().IsLoopback() && !b.loopbackMode {
		return nil // nobody elsewhere could reach this server, and the API refuses such endpoints
	}
	if err := b.put(ctx, b.stores.endpoints, b.endpoints()); err != nil {
		return fmt.Errorf("writing the endpoints of the service kubernetes: %w", err)
	}
	if err := b.put(ctx, b.stores.slices, b.slice()); err != nil {
		return fmt.Errorf("writing the endpoint slice of the service kubernetes: %w", err)
	}
	return nil
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

// The Service by which Pods reach this server, in the namespace default.
const (
	serviceName = "kubernetes"
	portName    = "https"
)

func (b *bootstrap) service() *corev1.Service {
	policy := corev1.IPFamilyPolicySingleStack
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: serviceName, Namespace: metav1.NamespaceDefault,
			Labels: map[string]string{"provider": serviceName, "component": "apiserver"},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP:      b.alloc.ranges[0].addr(0).String(),
			IPFamilyPolicy: &policy,
			Ports: []corev1.ServicePort{{
				Name: portName, Port: 443, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(int32(b.server.Port())),
			}},
		},
	}
}

// skipMirror keeps the mirroring controller away: the slice is written here.
const skipMirror = "endpointslice.kubernetes.io/skip-mirror"

func (b *bootstrap) endpoints() *corev1.Endpoints {
	return &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: serviceName, Namespace: metav1.NamespaceDefault, Labels: map[string]string{skipMirror: "true"}},
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: b.server.Addr().String()}},
			Ports:     []corev1.EndpointPort{{Name: portName, Port: int32(b.server.Port()), Protocol: corev1.ProtocolTCP}},
		}},
	}
}

func (b *bootstrap) slice() *discoveryv1.EndpointSlice {
	name, port, tcp, ready := portName, int32(b.server.Port()), corev1.ProtocolTCP, true
	family := discoveryv1.AddressTypeIPv4
	if b.server.Addr().Is6() {
		family = discoveryv1.AddressTypeIPv6
	}
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: serviceName, Namespace: metav1.NamespaceDefault, Labels: map[string]string{discoveryv1.LabelServiceName: serviceName},
		},
		AddressType: family,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{b.server.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		}},
		Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &tcp}},
	}
}
