package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"viaduct/internal/apiclient"
	"viaduct/internal/routing"
)

// watch holds the informers of a Proxy, and the Services to look at again.
type watch struct {
	factories []informers.SharedInformerFactory
	services  corelisters.ServiceLister
	slices    cache.Indexer
	nodes     corelisters.NodeLister
	known     []cache.InformerSynced
	broken    error // an error while the informers were set up
	kick      func()
	health    *health

	mu    sync.Mutex // protects the following
	dirty map[routing.Name]bool
	all   bool // the Node changed, which may change every Service
	triggers
}

// newWatch watches three kinds of objects: the Services without a label for another proxy, the EndpointSlices of
// Services with a cluster IP (headless ones are left out), and the Node called node. It calls kick when there is
// something to look at.
func newWatch(client kubernetes.Interface, node string, h *health, kick func()) *watch {
	w := &watch{kick: kick, health: h, dirty: map[routing.Name]bool{},
		triggers: triggers{first: map[routing.Name]time.Time{}, began: time.Now()}}
	services := w.factory(client, func(o *metav1.ListOptions) {
		o.LabelSelector = "!" +
			serviceProxyName
	}).Core().V1().Services()
	slices := w.factory(client, func(o *metav1.ListOptions) {
		o.LabelSelector = "!" +
			v1.IsHeadlessService
	}).Discovery().V1().EndpointSlices()
	nodes := w.factory(client, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, node).String()
	}).Core().V1().Nodes()

	w.services, w.slices, w.nodes = services.Lister(), slices.Informer().GetIndexer(), nodes.Lister()
	w.broken = errors.Join(
		slices.Informer().AddIndexers(cache.Indexers{apiclient.ByService: apiclient.IndexByService}),
		w.on(services.Informer(), w.markService),
		w.on(slices.Informer(), w.markSlice),
		w.on(nodes.Informer(), func(any) { w.markAll() }),
	)
	return w
}

// serviceProxyName is the label of Services that another proxy serves.
const serviceProxyName = "service.kubernetes.io/service-proxy-name"

// factory makes informers for one selection. There is no periodic resync, because a watch loses no changes.
func (w *watch) factory(client kubernetes.Interface, tweak func(*metav1.ListOptions)) informers.SharedInformerFactory {
	f := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(tweak),
		informers.WithTransform(apiclient.WithoutManagedFields))
	w.factories = append(w.factories, f)
	return f
}

// on calls mark with the old and the new state of the object of each event.
func (w *watch) on(i cache.SharedIndexInformer, mark func(any)) error {
	reg, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { w.trigger(nil, obj); mark(obj) },
		UpdateFunc: func(before, after any) { w.trigger(before, after); mark(before); mark(after) },
		DeleteFunc: func(obj any) { mark(apiclient.LastState(obj)) },
	})
	if err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	w.known = append(w.known, reg.HasSynced)
	return nil
}

func (w *watch) markService(obj any) {
	if s, ok := obj.(*v1.Service); ok {
		w.mark(routing.Name{Namespace: s.Namespace, Name: s.Name})
	}
}

func (w *watch) markSlice(obj any) {
	if s, ok := obj.(*discovery.EndpointSlice); ok && s.Labels[discovery.LabelServiceName] != "" {
		w.mark(routing.Name{Namespace: s.Namespace, Name: s.Labels[discovery.LabelServiceName]})
	}
}

func (w *watch) mark(name routing.Name) {
	w.health.change()
	w.mu.Lock()
	w.dirty[name] = true
	w.mu.Unlock()
	w.kick()
}

func (w *watch) markAll() {
	w.health.change()
	w.mu.Lock()
	w.all = true
	w.mu.Unlock()
	w.kick()
}

// take returns the dirty Services and empties the list.
func (w *watch) take() (dirty map[routing.Name]bool, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	dirty, all = w.dirty, w.all
	w.dirty, w.all = map[routing.Name]bool{}, false
	return dirty, all
}

// start starts the informers. stop ends them and waits for their end.
func (w *watch) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	for _, f := range w.factories {
		f.Start(ctx.Done())
	}
	return func() {
		cancel()
		for _, f := range w.factories {
			f.Shutdown()
		}
	}
}

// wait returns when all objects have been listed and marked.
func (w *watch) wait(ctx context.Context) error {
	if w.broken != nil {
		return w.broken
	}
	if !cache.WaitForCacheSync(ctx.Done(), w.known...) {
		return fmt.Errorf("waiting for Services and EndpointSlices: %w", context.Cause(ctx))
	}
	return nil
}

// entry builds the Service's part of the table. It has no Frontends if the Service does not exist.
func (w *watch) entry(node routing.Node, name routing.Name) routing.Entry {
	svc, err := w.services.Services(name.Namespace).Get(name.Name)
	if err != nil {
		return routing.Entry{Service: name} // a lister has only one error: not found
	}
	return routing.Entry{Service: name, Created: svc.CreationTimestamp.Time, Frontends: routing.Frontends(node, svc,
		w.slicesOf(name))}
}

// refused returns the Service's endpoints that get no connections because a rule forbids their address.
func (w *watch) refused(node routing.Node, name routing.Name) []routing.Refused {
	svc, err := w.services.Services(name.Namespace).Get(name.Name)
	if err != nil {
		return nil
	}
	return routing.RefusedOf(node, svc, w.slicesOf(name))
}

// healthCheck returns the Service's health check, or nil if it has none.
func (w *watch) healthCheck(node routing.Node, name routing.Name) *routing.HealthCheck {
	svc, err := w.services.Services(name.Namespace).Get(name.Name)
	if err != nil {
		return nil
	}
	if check, ok := routing.HealthCheckOf(node, svc, w.slicesOf(name)); ok {
		return &check
	}
	return nil
}

func (w *watch) slicesOf(name routing.Name) []*discovery.EndpointSlice {
	objs, err := w.slices.ByIndex(apiclient.ByService, name.Namespace+"/"+name.Name)
	if err != nil {
		panic(fmt.Sprintf("the index %q was added in newWatch and is not there: %v", apiclient.ByService, err))
	}
	list := make([]*discovery.EndpointSlice, 0, len(objs))
	for _, o := range objs {
		if s, ok := o.(*discovery.EndpointSlice); ok {
			list = append(list, s)
		}
	}
	return list
}

// names returns every watched Service, in no order.
func (w *watch) names() []routing.Name {
	all, err := w.services.List(labels.Everything())
	if err != nil {
		panic(fmt.Sprintf("listing a cache cannot fail, and did: %v", err))
	}
	out := make([]routing.Name, len(all))
	for i, s := range all {
		out[i] = routing.Name{Namespace: s.Namespace, Name: s.Name}
	}
	return out
}

// node returns this host's Node as the API has it, or only its name, and the prefixes of its Pods' addresses.
func (w *watch) node(name string, ports NodePorts) (n routing.Node, pods []netip.Prefix) {
	obj, err := w.nodes.Get(name)
	if err != nil {
		obj = &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} // not registered yet: markAll is called when it is
	}
	return NodeOf(obj, ports)
}
