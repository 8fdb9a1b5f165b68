package node

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// defaultGrace is the terminationGracePeriodSeconds of a Pod that has none.
const defaultGrace = 30 * time.Second

// grace is the time between the request to end and the kill.
func (w *worker) grace() time.Duration {
	grace := defaultGrace
	if seconds := w.pod.Spec.TerminationGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	if seconds := w.pod.DeletionGracePeriodSeconds; seconds != nil && w.pod.DeletionTimestamp != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	if w.leaving {
		grace = min(grace, w.agent.opts.ShutdownGrace)
	}
	return grace
}

// stopAll stops the containers of the Pod: the main containers first, then the sidecars they may need to end well. It
// is called again whenever a container has ended, and reports whether the worker is finished with the Pod.
func (w *worker) stopAll(ctx context.Context) (over bool) {
	if latest := time.Now().Add(w.grace()); w.due.deadline.IsZero() || latest.Before(w.due.deadline) {
		w.due.deadline = latest
	}
	running := w.stopKind(ctx, func(k kind) bool { return k != sidecar })
	if running == 0 {
		running = w.stopKind(ctx, func(k kind) bool { return k == sidecar })
	}
	if running > 0 {
		return false
	}
	if !w.isGone() && w.pod.DeletionTimestamp == nil {
		w.publish(ctx) // the agent is leaving, the Pod stays
		return true
	}
	if len(w.pod.Finalizers) > 0 && len(w.ips) > 0 { // the object outlives the containers: clients must not be sent there
		w.publish(ctx)
	}
	if !w.isGone() && !w.deleteObject(ctx) {
		return w.leaving
	}
	w.forget()
	w.log.Info("pod removed")
	return true
}

// stopKind stops the running containers of one kind, and counts them.
func (w *worker) stopKind(ctx context.Context, which func(kind) bool) (running int) {
	for _, c := range w.containers {
		if c.run != nil && which(c.Kind) {
			c.stop(ctx, w.due.deadline, "")
			running++
		}
	}
	return running
}

// deleteObject removes the Pod from the API, now that nothing of it runs: the one with our UID, and no other.
func (w *worker) deleteObject(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := deletePod(ctx, w.agent, w.pod)
	if err != nil {
		w.log.Warn("deleting a stopped pod, will try again", "err", err)
		w.due.again = time.Now().Add(time.Second)
	}
	return err == nil
}

// deletePod removes a Pod that is being deleted for good. It is no error if the Pod is gone already, or if another Pod
// has its name.
func deletePod(ctx context.Context, a *Agent, pod *v1.Pod) error {
	zero := int64(0)
	err := a.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("deleting pod %s/%s: %w", pod.Namespace, pod.Name, err)
}

// forget gives up what the Pod has on this host.
func (w *worker) forget() {
	w.closeSandbox() // before another Pod gets its addresses
	for _, a := range w.agent.network {
		a.release(w.uid)
	}
	if err := w.agent.opts.Runtime.RemovePod(string(w.uid)); err != nil {
		w.log.Warn("removing what is left of a pod", "err", err)
	}
}
