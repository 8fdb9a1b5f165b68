package membership

import (
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodTrigger returns the time of the event that changed a Pod, as far as the Pod records it: the last transition of its
// Ready condition. It is zero if that did not change. before is nil for a new Pod.
//
// Upstream stores a time for every Pod instead, and treats every Pod as new after a restart. The comparison of two
// versions of a Pod needs no memory, and the Pods that exist at the start do not count as changes.
func PodTrigger(before, after *v1.Pod) time.Time {
	if after == nil {
		return time.Time{}
	}
	now := readySince(after)
	// LastTransitionTime has whole seconds
	if before != nil && isReady(before) == isReady(after) && now.Equal(readySince(before)) {
		return time.Time{}
	}
	return now
}

func readySince(pod *v1.Pod) time.Time {
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodReady {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

// ServiceTrigger is PodTrigger for a Service: it returns the Service's creation time.
func ServiceTrigger(before, after *v1.Service) time.Time {
	if after == nil || before != nil && before.UID == after.UID {
		return time.Time{}
	}
	return after.CreationTimestamp.Time
}

// Stamp writes the time of the first change that an object contains into the object, before the object is written;
// zero: the time is not known. The time is used to measure how long a proxy takes to apply a change. It is never a
// reason to write by itself.
func Stamp(obj metav1.Object, trigger time.Time) {
	annotations := obj.GetAnnotations()
	if trigger.IsZero() {
		delete(annotations, v1.EndpointsLastChangeTriggerTime)
		return
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1.EndpointsLastChangeTriggerTime] = trigger.UTC().Format(time.RFC3339Nano)
	obj.SetAnnotations(annotations)
}
