// Package scheduler binds Pods to nodes, as far as `viaduct up` needs it: it takes the ready node with the fewest Pods.
// It ignores resources, affinity and taints. It must not run on a cluster that has a kube-scheduler, which does this
// work and more.
package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"viaduct/internal/apiclient"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
)

// A Scheduler binds Pods that have no node.
type Scheduler struct {
	client  kubernetes.Interface
	log     *slog.Logger
	metrics *metrics
}

// New makes a Scheduler. Nothing starts before Run. log gets the attempts that are retried, at level Debug.
func New(client kubernetes.Interface, log *slog.Logger) *Scheduler {
	return &Scheduler{client: client, log: log, metrics: newMetrics()}
}

// Run works until ctx ends. The error says why it could not start.
func (s *Scheduler) Run(ctx context.Context) error {
	recorder, stopRecording := apiclient.NewRecorder(s.client, v1.EventSource{Component: v1.DefaultSchedulerName})
	defer stopRecording()
	watch, err := newWatch(s.client)
	if err != nil {
		return fmt.Errorf("starting the scheduler: %w", err)
	}
	defer watch.stop()
	if !watch.start(ctx) {
		return nil // ctx ended first
	}
	b := &binder{
		client: s.client, log: s.log, metrics: s.metrics, watch: watch, assumed: map[types.UID]string{},
		recorder: recorder,
	}
	b.work(ctx)
	return nil
}

// A binder schedules one Pod after the other, so that each decision takes the one before into account.
type binder struct {
	client   kubernetes.Interface
	log      *slog.Logger
	metrics  *metrics
	watch    *watch
	recorder record.EventRecorder
	assumed  map[types.UID]string // Pod → node, of bindings that the cache may not show yet
}

func (b *binder) work(ctx context.Context) {
	defer context.AfterFunc(ctx, b.watch.queue.ShutDown)()
	for {
		key, shutdown := b.watch.queue.Get()
		if shutdown {
			return
		}
		b.handle(ctx, key)
		b.watch.queue.Done(key)
	}
}

func (b *binder) handle(ctx context.Context, key types.NamespacedName) {
	if err := b.schedule(ctx, key); err != nil && ctx.Err() == nil {
		b.log.Debug("scheduling a pod", "pod", key, "err", err)
		b.watch.queue.AddRateLimited(key)
		return
	}
	b.watch.queue.Forget(key)
}

func (b *binder) schedule(ctx context.Context, key types.NamespacedName) error {
	began := time.Now()
	pod, err := b.watch.pods.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) || err == nil && !needsNode(pod) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the pod: %w", err)
	}
	pods, err := b.watch.pods.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	nodes, err := b.watch.nodes.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	var podsOn map[string]int
	podsOn, b.assumed = podsPerNode(pods, b.assumed)
	if b.assumed[pod.UID] != "" {
		return nil // bound already; the cache is behind
	}
	node, why := Choose(pod, nodes, podsOn)
	result := resultScheduled
	if node == "" {
		result, err = resultUnschedulable, b.markUnschedulable(ctx, pod, why)
	} else {
		err = b.bind(ctx, pod, node)
	}
	if err != nil {
		result = resultError
	}
	b.metrics.observe(result, began)
	return err
}

func (b *binder) bind(ctx context.Context, pod *v1.Pod, node string) error {
	err := b.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &v1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     v1.ObjectReference{Kind: "Node", Name: node},
	}, metav1.CreateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // bound or deleted meanwhile: the cache will show it
	}
	if err != nil {
		return fmt.Errorf("binding to %s: %w", node, err)
	}
	b.assumed[pod.UID] = node
	b.recorder.Eventf(pod, v1.EventTypeNormal, "Scheduled", "Successfully assigned %s/%s to %s", pod.Namespace, pod.Name,
		node)
	return nil
}

// markUnschedulable writes the reason into the Pod's condition PodScheduled, and an event, once for each reason.
func (b *binder) markUnschedulable(ctx context.Context, pod *v1.Pod, why string) error {
	if isMarked(pod, why) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID}, // of this Pod, and not of a later one of the same name
		"status": v1.PodStatus{Conditions: []v1.PodCondition{{
			Type: v1.PodScheduled, Status: v1.ConditionFalse, Reason: v1.PodReasonUnschedulable, Message: why,
			LastTransitionTime: metav1.Now(),
		}}},
	})
	if err != nil {
		return fmt.Errorf("encoding the condition: %w", err)
	}
	_, err = b.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch,
		metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // deleted or replaced meanwhile: the cache will show it
	}
	if err != nil {
		return fmt.Errorf("writing the condition: %w", err)
	}
	b.recorder.Eventf(pod, v1.EventTypeWarning, "FailedScheduling", "%s", why)
	return nil
}
