package scheduler

import (
	"context"
	"errors"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// Retries of a Pod that could not be bound because of an error. A Pod for which no node is found waits for a change of
// a node instead.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// A watch caches Pods and nodes, and queues the Pods that may need a node. It decides nothing.
type watch struct {
	factory informers.SharedInformerFactory
	pods    corelisters.PodLister
	nodes   corelisters.NodeLister
	synced  []cache.InformerSynced
	queue   workqueue.TypedRateLimitingInterface[types.NamespacedName]
}

// newWatch makes a watch. Its queue runs already; stop ends it.
func newWatch(client kubernetes.Interface) (*watch, error) {
	w := &watch{factory: informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim))}
	w.queue = workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](firstRetry, lastRetry))
	core := w.factory.Core().V1()
	w.pods, w.nodes = core.Pods().Lister(), core.Nodes().Lister()
	err := errors.Join(w.handle(core.Pods().Informer(), w.onPods()), w.handle(core.Nodes().Informer(), w.onNodes()))
	if err != nil {
		w.queue.ShutDown()
		return nil, err
	}
	return w, nil
}

// slim drops the fields that the scheduler does not read. Of a Pod that has a node, only the node and the phase count.
func slim(obj any) (any, error) {
	m, ok := obj.(metav1.Object)
	if !ok {
		return obj, nil // a tombstone
	}
	m.SetManagedFields(nil)
	if pod, ok := obj.(*v1.Pod); ok && pod.Spec.NodeName != "" {
		return &v1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID,
				ResourceVersion: pod.ResourceVersion},
			Spec:   v1.PodSpec{NodeName: pod.Spec.NodeName},
			Status: v1.PodStatus{Phase: pod.Status.Phase},
		}, nil
	}
	return obj, nil
}

// start fills the caches, and reports whether they are full: false if ctx ended before.
func (w *watch) start(ctx context.Context) bool {
	w.factory.Start(ctx.Done())
	return cache.WaitForCacheSync(ctx.Done(), w.synced...)
}

// stop waits for the informers. They end with the context of start.
func (w *watch) stop() {
	w.queue.ShutDown()
	w.factory.Shutdown()
}

func (w *watch) handle(informer cache.SharedIndexInformer, handler cache.ResourceEventHandler) error {
	registered, err := informer.AddEventHandler(handler)
	if err != nil {
		return err
	}
	w.synced = append(w.synced, registered.HasSynced)
	return nil
}

func (w *watch) onPods() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { w.enqueue(obj.(*v1.Pod)) },
		UpdateFunc: func(before, after any) {
			if becamePending(before.(*v1.Pod), after.(*v1.Pod)) {
				w.enqueue(after.(*v1.Pod))
			}
		},
	}
}

// onNodes queues every Pod without a node when a node has changed in a way that matters. A heartbeat does not.
func (w *watch) onNodes() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { w.enqueueAll() },
		UpdateFunc: func(before, after any) {
			if schedulingChanged(before.(*v1.Node), after.(*v1.Node)) {
				w.enqueueAll()
			}
		},
		DeleteFunc: func(any) { w.enqueueAll() }, // the reasons of Pods without a node change
	}
}

func (w *watch) enqueue(pod *v1.Pod) {
	if needsNode(pod) {
		w.queue.Add(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
	}
}

func (w *watch) enqueueAll() {
	pods, err := w.pods.List(labels.Everything())
	if err != nil {
		return // a list from the cache does not fail
	}
	for _, pod := range pods {
		w.enqueue(pod)
	}
}
