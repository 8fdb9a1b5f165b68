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

// publish writes the Pod's status to the API, if it differs. It is called after every change, in the worker's
// goroutine, so that one request after a Pod becomes ready the API knows.
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

// retryAfter is the pause after a failed write. After a conflict the Pod has been read again, so the pause is short.
func retryAfter(err error) time.Duration {
	if apierrors.IsConflict(err) {
		return 10 * time.Millisecond
	}
	return time.Second
}

// status computes the Pod's present status.
func (w *worker) status() v1.PodStatus {
	return podStatus(podFacts{
		Pod: w.pod, Units: w.units(), Initialized: w.initialized, PodIPs: texts(w.ips),
		HostIP: w.agent.opts.HostIP.String(), StartTime: w.startup.begun, Now: now(), Leaving: w.leaving,
	})
}

// writeStatus sends the patch. If the server refuses it (another client wrote in between, or another Pod has the name),
// the Pod is read again, and the next publish starts from there.
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

// statusPatch gives the patch from the status of pod to want, or nil if they are equal. The patch names the UID, so
// that it cannot change a later Pod of the same name.
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

// older reports whether a is an older version of the object than b. Versions that are not numbers cannot be compared; a
// then counts as newer, and at worst the status is written once more.
func older(a, b *v1.Pod) bool {
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order < 0
}
