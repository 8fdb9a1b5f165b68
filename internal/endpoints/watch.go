package endpoints

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"viaduct/internal/apiclient"
	"viaduct/internal/membership"
)

// The indexes of the caches.
const (
	byNode    = "node"              // Pods, by the node they run on
	byService = apiclient.ByService // EndpointSlices, by the Service or Endpoints they belong to
)

// An observer is notified of changes. Its methods return quickly and may be called by several goroutines at once.
type observer interface {
	// changed: the members of a Service may have changed, at trigger if that is known.
	changed(service types.NamespacedName, trigger time.Time)
	// enqueue: an object that is kept for a Service has a new version; "": the object is gone.
	enqueue(service types.NamespacedName, what object, version string)
	// slicesChanged: a slice of a Service has changed, whatever its keeper.
	slicesChanged(service types.NamespacedName)
	// podLeft: a Pod no longer has an address that a person wrote into ep. after is its new state; nil: the Pod is gone.
	podLeft(ep *v1.Endpoints, addr netip.Addr, before, after *v1.Pod)
	// reasonsOf returns the reason for each endpoint of a slice, for the history.
	reasonsOf(s *discovery.EndpointSlice) func(e *discovery.Endpoint, listed bool) string
}

// caches are the informers' stores.
type caches struct {
	services  corelisters.ServiceLister
	endpoints corelisters.EndpointsLister
	pods      cache.Indexer
	slices    cache.Indexer
	written   cache.Indexer // Endpoints, indexed by the Pods to which they refer
	nodeStore cache.Store
	named     []cache.Store // Services and Endpoints: the key of a Service is their namespace and name
}

// podIndex finds the Services that select a Pod, and the Pods that have an address.
type podIndex struct {
	mu           sync.Mutex // protects the following
	index        *membership.Index
	byIP         *podsByIP
	proportional map[types.NamespacedName]bool // Services whose hints follow the zones' shares of the CPU
}

// watch is the controller's view of the API. It notifies an observer of the Services to sync.
type watch struct {
	caches
	podIndex
	factory  informers.SharedInformerFactory
	synced   []cache.InformerSynced
	broken   error // why the informers could not be set up
	observer observer
	history  History // nil: no history is kept

	nodes    sync.RWMutex // protects topology
	topology *membership.Topology
}

func newWatch(client kubernetes.Interface, observer observer, history History) *watch {
	w := &watch{
		observer: observer, history: history, topology: membership.NewTopology(),
		podIndex: podIndex{index: membership.NewIndex(), byIP: newPodsByIP(),
			proportional: map[types.NamespacedName]bool{}},
	}
	// There is no periodic resync: a watch loses no event, and a cluster without changes should cause no work.
	w.factory = informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim))
	core := w.factory.Core().V1()
	pods, slices := core.Pods().Informer(), w.factory.Discovery().V1().EndpointSlices().Informer()
	w.broken = errors.Join(
		pods.AddIndexers(cache.Indexers{byNode: indexByNode}),
		slices.AddIndexers(cache.Indexers{byService: apiclient.IndexByService, byPodRef: indexByPodRef}),
		core.Endpoints().Informer().AddIndexers(cache.Indexers{byPodRef: indexByPodRef}),
		on(w, core.Services().Informer(), w.serviceChanged),
		on(w, pods, w.podChanged),
		on(w, core.Nodes().Informer(), w.nodeChanged),
		on(w, core.Endpoints().Informer(), w.endpointsChanged),
		on(w, slices, w.sliceChanged),
	)
	w.services, w.endpoints = core.Services().Lister(), core.Endpoints().Lister()
	w.nodeStore = core.Nodes().Informer().GetStore()
	w.pods, w.slices, w.written = pods.GetIndexer(), slices.GetIndexer(), core.Endpoints().Informer().GetIndexer()
	w.named = []cache.Store{core.Services().Informer().GetStore(), core.Endpoints().Informer().GetStore()}
	return w
}

func (w *watch) start(ctx context.Context) error {
	if w.broken != nil {
		return w.broken
	}
	w.factory.Start(ctx.Done())
	return nil
}

func (w *watch) stop() { w.factory.Shutdown() }

// slim removes the fields that no code here reads, which are most of an object.
func slim(obj any) (any, error) {
	if pod, ok := obj.(*v1.Pod); ok {
		return membership.Slim(pod), nil
	}
	if m, err := meta.Accessor(obj); err == nil {
		m.SetManagedFields(lastWriter(m.GetManagedFields()))
	}
	return obj, nil
}

// lastWriter keeps only the name of the last writer and the time of its write.
func lastWriter(fields []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	var last metav1.ManagedFieldsEntry
	for _, f := range fields {
		if f.Time != nil && (last.Time == nil || last.Time.Before(f.Time)) {
			last = metav1.ManagedFieldsEntry{Manager: strings.Clone(f.Manager), Time: f.Time}
		}
	}
	if last.Time == nil {
		return nil
	}
	return []metav1.ManagedFieldsEntry{last}
}

func indexByNode(obj any) ([]string, error) {
	if pod, ok := obj.(*v1.Pod); ok && pod.Spec.NodeName != "" {
		return []string{pod.Spec.NodeName}, nil
	}
	return nil, nil
}

// on registers changed as the event handler of an informer. changed gets both states of an object: before is nil for a
// new object, after is nil for a deleted one.
func on[T any](w *watch, informer cache.SharedIndexInformer, changed func(before, after *T)) error {
	reg, err := informer.AddEventHandler(apiclient.Handler(func(before, after *T, _ bool) { changed(before, after) }))
	if err == nil {
		w.synced = append(w.synced, reg.HasSynced)
	}
	return err
}

func either[T any](before, after *T) *T {
	if after != nil {
		return after
	}
	return before
}

func keyOf(obj metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

func (w *watch) serviceChanged(before, after *v1.Service) {
	key := keyOf(either(before, after))
	w.mu.Lock()
	delete(w.proportional, key)
	if after == nil {
		w.index.DropService(key)
	} else {
		w.index.SetService(after)
		if membership.Proportional(after) {
			w.proportional[key] = true
		}
	}
	w.mu.Unlock()
	w.observer.changed(key, membership.ServiceTrigger(before, after))
}

func (w *watch) podChanged(before, after *v1.Pod) {
	w.mu.Lock()
	w.byIP.change(before, after)
	var concerned []types.NamespacedName
	if after == nil {
		concerned = w.index.DropPod(keyOf(before))
	} else {
		concerned = w.index.SetPod(after)
	}
	w.mu.Unlock()
	if membership.Matters(before, after) {
		trigger := membership.PodTrigger(before, after)
		for _, key := range concerned {
			w.observer.changed(key, trigger)
		}
	}
	w.podRefsChanged(before, after)
}

// podsOf returns the Pods that svc selects; false if the index does not know the current selector yet. The index then
// gets an event with this selector soon, and that event queues the Service.
func (w *watch) podsOf(svc *v1.Service) ([]*v1.Pod, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.index.Pods(svc)
}

// nodeChanged queues the Services of a node's Pods if the node's zone changed, because their slices contain the zone.
// It queues the Services whose hints depend on the CPU of all nodes if the CPU shares changed.
func (w *watch) nodeChanged(before, after *v1.Node) {
	w.nodes.Lock()
	var zone, shares bool
	if after == nil {
		zone, shares = w.topology.Drop(before.Name)
	} else {
		zone, shares = w.topology.Set(after)
	}
	w.nodes.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if shares {
		for key := range w.proportional {
			w.observer.changed(key, time.Time{})
		}
	}
	if !zone {
		return
	}
	pods, err := w.pods.ByIndex(byNode, either(before, after).Name)
	if err != nil {
		return // cannot happen: newWatch made the index
	}
	for _, pod := range pods {
		for _, key := range w.index.Selecting(keyOf(pod.(*v1.Pod))) {
			w.observer.changed(key, time.Time{})
		}
	}
}

// endpointsChanged queues the Service of that name. This includes hand-written Endpoints, which may have to be
// mirrored.
func (w *watch) endpointsChanged(before, after *v1.Endpoints) {
	key, version := keyOf(either(before, after)), ""
	if after != nil {
		version = after.ResourceVersion
	}
	w.observer.enqueue(key, object{kindEndpoints, key.Name}, version)
}

// sliceChanged queues the Service of a slice that is kept here, and the Service to which the slice belonged before.
func (w *watch) sliceChanged(before, after *discovery.EndpointSlice) {
	what, version := object{kindSlice, either(before, after).Name}, ""
	if after != nil {
		version = after.ResourceVersion
	}
	if w.history != nil {
		w.history.Observe(before, after, w.observer.reasonsOf(either(before, after)))
	}
	if key := serviceOf(either(before, after)); key != nil {
		w.observer.slicesChanged(*key)
	}
	for _, s := range []*discovery.EndpointSlice{before, after} {
		if s != nil && membership.WrittenByHand(s) && s.Labels[discovery.LabelServiceName] != "" {
			w.observer.changed(*serviceOf(s), time.Time{})
		}
	}
	was, is := keptFor(before), keptFor(after)
	if was != nil {
		w.observer.enqueue(*was, what, version)
	}
	if is != nil && (was == nil || *was != *is) {
		w.observer.enqueue(*is, what, version)
	}
}

// keptFor returns the Service or the hand-written Endpoints for which a slice is kept here; nil if there is none.
func keptFor(s *discovery.EndpointSlice) *types.NamespacedName {
	if s == nil || s.Labels[discovery.LabelServiceName] == "" {
		return nil
	}
	if membership.WrittenByHand(s) {
		return nil
	}
	return &types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discovery.LabelServiceName]}
}

// everything returns the keys of all Services, and of objects that may be left from deleted Services.
func (w *watch) everything() map[types.NamespacedName]bool {
	all := map[types.NamespacedName]bool{}
	for _, store := range w.named {
		for _, obj := range store.List() {
			all[keyOf(obj.(metav1.Object))] = true
		}
	}
	for _, obj := range w.slices.List() {
		if key := keptFor(obj.(*discovery.EndpointSlice)); key != nil {
			all[*key] = true
		}
	}
	return all
}

// slicesOf returns all slices of a Service.
func (w *watch) slicesOf(key types.NamespacedName) []*discovery.EndpointSlice {
	objs, err := w.slices.ByIndex(byService, key.String())
	if err != nil {
		return nil // cannot happen: newWatch made the index
	}
	out := make([]*discovery.EndpointSlice, 0, len(objs))
	for _, obj := range objs {
		out = append(out, obj.(*discovery.EndpointSlice))
	}
	return out
}
