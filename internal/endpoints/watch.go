package endpoints

import (
	"context"
	"errors"
	"maps"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"viaduct/internal/membership"
)

// The indexes of the caches.
const (
	byLabel   = "label"   // Pods, by each label they have
	byNode    = "node"    // Pods, by the node they run on
	byService = "service" // EndpointSlices, by the Service or Endpoints they belong to
)

// watch is what the controller sees of the API. Whatever it hears, it only says which Service to look at.
type watch struct {
	factory   informers.SharedInformerFactory
	services  corelisters.ServiceLister
	endpoints corelisters.EndpointsLister
	nodes     corelisters.NodeLister
	pods      cache.Indexer
	slices    cache.Indexer
	named     []cache.Store // Services and Endpoints: both have the name that a key is made of
	synced    []cache.InformerSynced
	broken    error // what kept the informers from being set up

	selectors *selectors
	changed   func(types.NamespacedName) // what is behind a Service may have changed
	look      func(types.NamespacedName) // what was written for it may have been changed
}

func newWatch(client kubernetes.Interface, changed, look func(types.NamespacedName)) *watch {
	w := &watch{selectors: newSelectors(), changed: changed, look: look}
	// There is no periodic resync: a watch loses nothing, and a settled cluster is to cost nothing.
	w.factory = informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim))
	core := w.factory.Core().V1()
	pods, slices := core.Pods().Informer(), w.factory.Discovery().V1().EndpointSlices().Informer()
	w.broken = errors.Join(
		pods.AddIndexers(cache.Indexers{byLabel: indexByLabel, byNode: indexByNode}),
		slices.AddIndexers(cache.Indexers{byService: indexByService}),
		on(w, core.Services().Informer(), w.serviceChanged),
		on(w, pods, w.podChanged),
		on(w, core.Nodes().Informer(), w.nodeChanged),
		on(w, core.Endpoints().Informer(), func(before, after *v1.Endpoints) { w.look(keyOf(either(before, after))) }),
		on(w, slices, w.sliceChanged),
	)
	w.services, w.endpoints, w.nodes = core.Services().Lister(), core.Endpoints().Lister(), core.Nodes().Lister()
	w.pods, w.slices = pods.GetIndexer(), slices.GetIndexer()
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

// slim drops what nobody here reads: most of an object.
func slim(obj any) (any, error) {
	if pod, ok := obj.(*v1.Pod); ok {
		return membership.Slim(pod), nil
	}
	if m, err := meta.Accessor(obj); err == nil {
		m.SetManagedFields(nil)
	}
	return obj, nil
}

func indexByLabel(obj any) ([]string, error) {
	pod, ok := obj.(*v1.Pod)
	if !ok {
		return nil, nil
	}
	entries := make([]string, 0, len(pod.Labels))
	for k, v := range pod.Labels {
		entries = append(entries, labelEntry(pod.Namespace, k, v))
	}
	return entries, nil
}

func indexByNode(obj any) ([]string, error) {
	if pod, ok := obj.(*v1.Pod); ok && pod.Spec.NodeName != "" {
		return []string{pod.Spec.NodeName}, nil
	}
	return nil, nil
}

func indexByService(obj any) ([]string, error) {
	if s, ok := obj.(*discovery.EndpointSlice); ok && s.Labels[discovery.LabelServiceName] != "" {
		return []string{s.Namespace + "/" + s.Labels[discovery.LabelServiceName]}, nil
	}
	return nil, nil
}

// on calls changed with both states of whatever object an event is about; before is nil for a new one, after for one that is gone.
func on[T comparable](w *watch, informer cache.SharedIndexInformer, changed func(before, after T)) error {
	var none T
	reg, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { changed(none, obj.(T)) },
		UpdateFunc: func(before, after any) { changed(before.(T), after.(T)) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if before, ok := obj.(T); ok {
				changed(before, none)
			}
		},
	})
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
	if after == nil {
		w.selectors.set(keyOf(before), nil)
	} else {
		w.selectors.set(keyOf(after), after.Spec.Selector)
	}
	w.changed(keyOf(either(before, after)))
}

func (w *watch) podChanged(before, after *v1.Pod) {
	if !membership.Matters(before, after) {
		return
	}
	if before != nil && (after == nil || !maps.Equal(before.Labels, after.Labels)) {
		w.queueSelecting(before)
	}
	if after != nil {
		w.queueSelecting(after)
	}
}

func (w *watch) queueSelecting(pod *v1.Pod) {
	for _, key := range w.selectors.maySelect(pod.Namespace, pod.Labels) {
		svc, err := w.services.Services(key.Namespace).Get(key.Name)
		if err == nil && membership.Judge(svc, pod).Why != membership.NotSelected {
			w.changed(key)
		}
	}
}

// nodeChanged looks again at the Services of a node's Pods if its zone changed: their slices say the zone.
func (w *watch) nodeChanged(before, after *v1.Node) {
	if before != nil && after != nil && zoneOf(before) == zoneOf(after) {
		return
	}
	pods, err := w.pods.ByIndex(byNode, either(before, after).Name)
	if err != nil {
		return // the index is there: newWatch made it
	}
	for _, pod := range pods {
		w.queueSelecting(pod.(*v1.Pod))
	}
}

func zoneOf(node *v1.Node) string { return node.Labels[v1.LabelTopologyZone] }

// sliceChanged looks at the Service of a slice that is, or was, kept here.
func (w *watch) sliceChanged(before, after *discovery.EndpointSlice) {
	for _, s := range []*discovery.EndpointSlice{before, after} {
		if s != nil && keptHere(s) && s.Labels[discovery.LabelServiceName] != "" {
			w.look(ownerOf(s))
		}
	}
}

// ownerOf is the Service, or the Endpoints written by hand, that a slice belongs to.
func ownerOf(s *discovery.EndpointSlice) types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discovery.LabelServiceName]}
}

// everything is all that there may be anything to do for: Services, and what may be left of ones that are gone.
func (w *watch) everything() map[types.NamespacedName]bool {
	all := map[types.NamespacedName]bool{}
	for _, store := range w.named {
		for _, obj := range store.List() {
			all[keyOf(obj.(metav1.Object))] = true
		}
	}
	for _, obj := range w.slices.List() {
		if s := obj.(*discovery.EndpointSlice); keptHere(s) && s.Labels[discovery.LabelServiceName] != "" {
			all[ownerOf(s)] = true
		}
	}
	return all
}

func keptHere(s *discovery.EndpointSlice) bool {
	by := s.Labels[discovery.LabelManagedBy]
	return by == membership.SliceManagedBy || by == membership.MirrorManagedBy
}

// slicesOf are the slices of a Service that by keeps.
func (w *watch) slicesOf(key types.NamespacedName, by string) []*discovery.EndpointSlice {
	objs, err := w.slices.ByIndex(byService, key.String())
	if err != nil {
		return nil // the index is there: newWatch made it
	}
	var out []*discovery.EndpointSlice
	for _, obj := range objs {
		if s := obj.(*discovery.EndpointSlice); s.Labels[discovery.LabelManagedBy] == by {
			out = append(out, s)
		}
	}
	return out
}

// podsOf are the Pods that may be behind svc: those with one of the labels that it asks for.
func (w *watch) podsOf(svc *v1.Service) []*v1.Pod {
	k, ok := firstKey(svc.Spec.Selector)
	if !ok {
		return nil
	}
	objs, err := w.pods.ByIndex(byLabel, labelEntry(svc.Namespace, k, svc.Spec.Selector[k]))
	if err != nil {
		return nil // the index is there: newWatch made it
	}
	pods := make([]*v1.Pod, 0, len(objs))
	for _, obj := range objs {
		pods = append(pods, obj.(*v1.Pod))
	}
	return pods
}

// zone tells the zone of a node.
func (w *watch) zone(name string) (string, bool) {
	node, err := w.nodes.Get(name)
	if err != nil {
		return "", false
	}
	return zoneOf(node), true
}
