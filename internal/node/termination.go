package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// defaultGrace is how long a Pod that does not say has to end.
const defaultGrace = 30 * time.Second

// grace is how long the Pod's processes have between being asked to end and being killed.
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

// stopAll has everything stopped: the main containers first, then the sidecars they may need to end well. It is called
// again whenever something ended; it tells whether the worker is finished with the Pod.
func (w *worker) stopAll(ctx context.Context) (over bool) {
	if latest := time.Now().Add(w.grace()); w.deadline.IsZero() || latest.Before(w.deadline) {
		w.deadline = latest
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
	if len(w.pod.Finalizers) > 0 && len(w.ips) > 0 { // it outlives its processes: nobody is to be sent to them
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
		if c.proc != nil && which(c.Kind) {
			c.stop(ctx, w.deadline, "")
			running++
		}
	}
	return running
}

// deleteObject takes the Pod out of the API, now that nothing of it runs: the one with our UID, and no other.
func (w *worker) deleteObject(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := deletePod(ctx, w.agent, w.pod)
	if err != nil {
		w.log.Warn("deleting a stopped pod, will try again", "err", err)
		w.again = time.Now().Add(time.Second)
	}
	return err == nil
}

// deletePod removes a Pod that is being deleted for good. That it is gone already, or another one has its name, is no
// error.
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

// forget removes what the Pod had on this host.
func (w *worker) forget() {
	w.leaveNetwork() // before somebody else gets its addresses
	for _, a := range w.agent.addresses {
		a.release(w.uid)
	}
	if !filepath.IsLocal(string(w.uid)) {
		return // then nothing was ever made for it
	}
	if err := os.RemoveAll(filepath.Join(w.agent.opts.DataDir, "pods", string(w.uid))); err != nil {
		w.log.Warn("removing the directory of a pod", "err", err)
	}
}
