package membership

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func readyAt(second int64, conditions ...v1.PodConditionType) *v1.Pod {
	pod := &v1.Pod{}
	for _, c := range conditions {
		pod.Status.Conditions = append(pod.Status.Conditions, v1.PodCondition{Type: c, LastTransitionTime: metav1.Unix(second,
			0)})
	}
	return pod
}

func withStatus(pod *v1.Pod, status v1.ConditionStatus) *v1.Pod {
	pod.Status.Conditions[0].Status = status
	return pod
}

func TestPodTrigger(t *testing.T) {
	for name, c := range map[string]struct {
		before, after *v1.Pod
		want          int64 // 0: none
	}{
		"new and ready":            {nil, readyAt(7, v1.PodReady), 7},
		"new, without a condition": {nil, readyAt(0), 0},
		"became ready or unready":  {readyAt(5, v1.PodReady), readyAt(7, v1.PodReady), 7},
		"within a second": {withStatus(readyAt(7, v1.PodReady), v1.ConditionTrue),
			withStatus(readyAt(7, v1.PodReady), v1.ConditionFalse), 7},
		"got its condition":         {readyAt(0), readyAt(7, v1.PodReady), 7},
		"another change":            {readyAt(5, v1.PodReady), readyAt(5, v1.PodReady), 0},
		"another condition changed": {readyAt(5, v1.PodScheduled), readyAt(7, v1.PodScheduled), 0},
		"deleted":                   {readyAt(5, v1.PodReady), nil, 0},
	} {
		t.Run(name, func(t *testing.T) { wantTrigger(t, PodTrigger(c.before, c.after), c.want) })
	}
}

func wantTrigger(t *testing.T, got time.Time, want int64) {
	t.Helper()
	if got.IsZero() != (want == 0) || want != 0 && got.Unix() != want {
		t.Errorf("triggered at %s, want second %d", got, want)
	}
}

func TestServiceTrigger(t *testing.T) {
	made := func(uid types.UID, second int64) *v1.Service {
		return &v1.Service{ObjectMeta: metav1.ObjectMeta{UID: uid, CreationTimestamp: metav1.Unix(second, 0)}}
	}
	for name, c := range map[string]struct {
		before, after *v1.Service
		want          int64
	}{
		"new":                {nil, made("1", 7), 7},
		"changed":            {made("1", 5), made("1", 5), 0},
		"made anew":          {made("1", 5), made("2", 7), 7},
		"deleted":            {made("1", 5), nil, 0},
		"at some other time": {nil, made("1", 9), 9},
	} {
		t.Run(name, func(t *testing.T) { wantTrigger(t, ServiceTrigger(c.before, c.after), c.want) })
	}
}

func TestStamp(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("east", 3600))
	ep := &v1.Endpoints{}
	Stamp(ep, time.Time{})
	if len(ep.Annotations) != 0 {
		t.Errorf("nothing is known, and %v is said", ep.Annotations)
	}
	Stamp(ep, at)
	if got := ep.Annotations[v1.EndpointsLastChangeTriggerTime]; got != "2026-01-02T02:04:05.000006Z" {
		t.Errorf("the stamp is %s", got)
	}
	ep.Annotations["other"] = "x"
	Stamp(ep, time.Time{})
	if _, ok := ep.Annotations[v1.EndpointsLastChangeTriggerTime]; ok || ep.Annotations["other"] != "x" {
		t.Errorf("what is no longer true is still said, or something else is gone: %v", ep.Annotations)
	}
}
