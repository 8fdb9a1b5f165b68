package membership

import (
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodTrigger is when what changed a Pod happened, as far as the Pod tells: its Ready condition. It is zero if that did
// not change. before is nil for a new Pod.
//
// Upstream remembers a time for every Pod instead, and after a restart takes everything for new. A change of state
// between two versions of a Pod needs no memory, and what was there at the start is no change.
func PodTrigger(before, after *v1.Pod) time.Time {
	if after == nil {
		return time.Time{}
	}
	now := readySince(after)
	// its time is in whole seconds
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

// ServiceTrigger is PodTrigger for a Service: it tells when it was made.
func ServiceTrigger(before, after *v1.Service) time.Time {
	if after == nil || before != nil && before.UID == after.UID {
		return time.Time{}
	}
	return after.CreationTimestamp.Time
}

// Stamp writes onto an object that is about to be written the time of the first change that it tells of; zero: it is
// not known. It is how the time until a proxy follows is measured. It is never itself a reason to write.
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
