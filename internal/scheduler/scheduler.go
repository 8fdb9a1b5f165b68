// Package scheduler puts Pods on nodes, as far as `viaduct up` needs it: any ready node, the emptiest first. It weighs no resources and
// no affinity. On a cluster that has a kube-scheduler it is not run.
package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

// Retries of a Pod that could not be bound for an error; one without a node waits for a node to change.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Scheduler binds Pods that are on no node.
type Scheduler struct {
	client   kubernetes.Interface
	log      *slog.Logger
	factory  informers.SharedInformerFactory
	pods     corelisters.PodLister
	nodes    corelisters.NodeLister
	synced   []cache.InformerSynced
	broken   error // what kept the informers from being set up
	queue    workqueue.TypedRateLimitingInterface[types.NamespacedName]
	events   record.EventBroadcaster
	recorder record.EventRecorder
}

// New makes a scheduler; Run starts it.
func New(client kubernetes.Interface, log *slog.Logger) *Scheduler {
	s := &Scheduler{client: client, log: log, factory: informers.NewSharedInformerFactory(client, 0), events: record.NewBroadcaster()}
	s.queue = workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](firstRetry, lastRetry))
	s.recorder = s.events.NewRecorder(scheme.Scheme, v1.EventSource{Component: v1.DefaultSchedulerName})
	core := s.factory.Core().V1()
	s.pods, s.nodes = core.Pods().Lister(), core.Nodes().Lister()
	s.broken = errors.Join(s.onPods(core.Pods().Informer()), s.onNodes(core.Nodes().Informer()))
	return s
}

// Run works until ctx ends. An error says that it could not start.
func (s *Scheduler) Run(ctx context.Context) error {
	defer s.events.Shutdown()
	if s.broken != nil {
		return fmt.Errorf("starting the scheduler: %w", s.broken)
	}
	s.events.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: s.client.CoreV1().Events("")})
	s.factory.Start(ctx.Done())
	defer s.factory.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), s.synced...) {
		return nil // ctx ended first
	}
	stop := context.AfterFunc(ctx, s.queue.ShutDown)
	defer stop()
	for { // one worker: two could both think a node the emptiest
		key, shutdown := s.queue.Get()
		if shutdown {
			return nil
		}
		s.handle(ctx, key)
		s.queue.Done(key)
	}
}

func (s *Scheduler) onPods(informer cache.SharedIndexInformer) error {
	look := func(obj any) {
		if pod, ok := obj.(*v1.Pod); ok && waits(pod) {
			s.queue.Add(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
		}
	}
	reg, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: look,
		UpdateFunc: func(before, after any) {
			if b, ok := before.(*v1.Pod); ok && !waits(b) {
				look(after)
			}
		},
	})
	if err == nil {
		s.synced = append(s.synced, reg.HasSynced)
	}
	return err
}

// onNodes looks again at every Pod that waits when a node may have begun to take Pods. A heartbeat does not make it look.
func (s *Scheduler) onNodes(informer cache.SharedIndexInformer) error {
	reg, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { s.lookAtAll() },
		UpdateFunc: func(before, after any) {
			b, a := before.(*v1.Node), after.(*v1.Node)
			if isReady(b) != isReady(a) || b.Spec.Unschedulable != a.Spec.Unschedulable || !labels.Equals(b.Labels, a.Labels) {
				s.lookAtAll()
			}
		},
	})
	if err == nil {
		s.synced = append(s.synced, reg.HasSynced)
	}
	return err
}

func (s *Scheduler) lookAtAll() {
	pods, err := s.pods.List(labels.Everything())
	if err != nil {
		return // a list from the cache does not fail
	}
	for _, pod := range pods {
		if waits(pod) {
			s.queue.Add(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
		}
	}
}

func (s *Scheduler) handle(ctx context.Context, key types.NamespacedName) {
	if err := s.schedule(ctx, key); err != nil && ctx.Err() == nil {
		s.log.Debug("scheduling a pod", "pod", key, "err", err)
		s.queue.AddRateLimited(key)
		return
	}
	s.queue.Forget(key)
}

func (s *Scheduler) schedule(ctx context.Context, key types.NamespacedName) error {
	pod, err := s.pods.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) || err == nil && !waits(pod) {
		return nil
	}
	if err != nil {
		return err
	}
	nodes, err := s.nodes.List(labels.Everything())
	if err != nil {
		return err
	}
	podsOn, err := s.countPods()
	if err != nil {
		return err
	}
	node, why := Choose(pod, nodes, podsOn)
	if node == "" {
		return s.tellWhy(ctx, pod, why)
	}
	return s.bind(ctx, pod, node)
}

func (s *Scheduler) countPods() (map[string]int, error) {
	pods, err := s.pods.List(labels.Everything())
	on := map[string]int{}
	for _, pod := range pods {
		on[pod.Spec.NodeName]++
	}
	return on, err
}

func (s *Scheduler) bind(ctx context.Context, pod *v1.Pod, node string) error {
	err := s.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &v1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     v1.ObjectReference{Kind: "Node", Name: node},
	}, metav1.CreateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // bound or deleted meanwhile: the cache will tell
	}
	if err != nil {
		return fmt.Errorf("binding to %s: %w", node, err)
	}
	s.recorder.Eventf(pod, v1.EventTypeNormal, "Scheduled", "Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, node)
	return nil
}

// tellWhy says on the Pod why it is on no node, once for each reason.
func (s *Scheduler) tellWhy(ctx context.Context, pod *v1.Pod, why string) error {
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodScheduled && c.Status == v1.ConditionFalse && c.Message == why {
			return nil
		}
	}
	patch, err := json.Marshal(map[string]any{"status": v1.PodStatus{Conditions: []v1.PodCondition{{
		Type: v1.PodScheduled, Status: v1.ConditionFalse, Reason: v1.PodReasonUnschedulable, Message: why, LastTransitionTime: metav1.Now(),
	}}}})
	if err != nil {
		return err
	}
	_, err = s.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("saying why it waits: %w", err)
	}
	s.recorder.Eventf(pod, v1.EventTypeWarning, "FailedScheduling", "%s", why)
	return nil
}
