package node

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// publish makes the Pod's status in the API what it is, if it differs. It is called after every change, from the
// goroutine that made it, so that a Pod becoming ready is one request away from being known.
func (w *worker) publish(ctx context.Context) {
	if w.isGone() {
		return
	}
	patch, err := statusPatch(w.pod, w.status())
	if err == nil && patch == nil {
		w.due.retry = time.Time{}
		return
	}
	if err == nil {
		err = w.writeStatus(ctx, patch)
	}
	if err != nil {
		w.log.Warn("writing a pod's status, will try again", "err", err)
		w.due.retry = time.Now().Add(retryAfter(err))
	}
}

// retryAfter is how long to wait after the server refused: a conflict is over as soon as the Pod has been read again.
func retryAfter(err error) time.Duration {
	if apierrors.IsConflict(err) {
		return 10 * time.Millisecond
	}
	return time.Second
}

// status computes what the Pod's status is now.
func (w *worker) status() v1.PodStatus {
	return podStatus(podFacts{
		Pod: w.pod, Units: w.units(), Initialized: w.initialized, PodIPs: texts(w.ips),
		HostIP: w.agent.opts.HostIP.String(), StartTime: w.startup.begun, Now: now(), Leaving: w.leaving,
	})
}

// writeStatus sends the patch. If the server would not have it (somebody wrote in between, or another Pod has the
// name), the Pod is read again, and the next publish starts from there.
func (w *worker) writeStatus(ctx context.Context, patch []byte) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pods := w.agent.client.CoreV1().Pods(w.pod.Namespace)
	written, err := pods.Patch(ctx, w.pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		fresh, readErr := pods.Get(ctx, w.pod.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(readErr), readErr == nil && fresh.UID != w.uid:
			w.inbox.mail.put(w.pod, true)
			return nil
		case readErr == nil:
			w.pod = fresh
		}
		return err
	}
	w.due.retry = time.Time{}
	w.pod = written
	return nil
}

// statusPatch gives the patch that takes the status of pod to want, or nil if it is that already. It names the UID, so
// that it cannot land on a later Pod of the same name.
func statusPatch(pod *v1.Pod, want v1.PodStatus) ([]byte, error) {
	before, err := json.Marshal(v1.Pod{Status: pod.Status})
	if err != nil {
		return nil, fmt.Errorf("computing a status patch: %w", err)
	}
	after, err := json.Marshal(v1.Pod{Status: want})
	if err != nil {
		return nil, fmt.Errorf("computing a status patch: %w", err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, v1.Pod{})
	if err != nil {
		return nil, fmt.Errorf("computing a status patch: %w", err)
	}
	if string(patch) == "{}" {
		return nil, nil
	}
	return fmt.Appendf(nil, `{"metadata":{"uid":%q},%s`, pod.UID, patch[1:]), nil
}

// older tells whether a is an older version of the object than b. Where the versions are not numbers nobody knows, and
// a counts as newer: at worst the status is written once more.
func older(a, b *v1.Pod) bool {
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order < 0
}
