package endpoints

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/membership"
)

func TestReasonOf(t *testing.T) {
	at := metav1.Unix(1000, 0)
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "web"}, Spec: v1.ServiceSpec{
		Selector: map[string]string{"app": "web"}, IPFamilies: []v1.IPFamily{v1.IPv4Protocol}, Ports: []v1.ServicePort{{Port: 80}},
	}}
	pod := func(change func(*v1.Pod)) *v1.Pod {
		p := &v1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", Labels: map[string]string{"app": "web"}},
			Status: v1.PodStatus{Phase: v1.PodRunning, PodIP: "10.0.0.1",
				Conditions: []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue, LastTransitionTime: at}}},
		}
		change(p)
		return p
	}
	grace := int64(30)
	for name, c := range map[string]struct {
		change    func(*v1.Pod)
		reason    membership.Reason
		in, ready bool
		since     int64 // 0: not known
	}{
		"ready":     {func(*v1.Pod) {}, membership.Ready, true, true, 1000},
		"not ready": {func(p *v1.Pod) { p.Status.Conditions[0].Status = v1.ConditionFalse }, membership.NotReady, true, false, 1000},
		"told to end 30 s before it is to be gone": {func(p *v1.Pod) {
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = new(metav1.Unix(2000, 0)), &grace
		}, membership.Terminating, true, false, 1970},
		"finished":     {func(p *v1.Pod) { p.Status.Phase = v1.PodFailed }, membership.Finished, false, false, 0},
		"no address":   {func(p *v1.Pod) { p.Status.PodIP = "" }, membership.NoAddress, false, false, 0},
		"other family": {func(p *v1.Pod) { p.Status.PodIP = "fd00::1" }, membership.OtherFamily, false, false, 0},
		"other labels": {func(p *v1.Pod) { p.Labels["app"] = "Web" }, membership.NotSelected, false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := reasonOf(svc, pod(c.change))
			if got.Reason != c.reason || got.In != c.in || got.Ready != c.ready || got.Sentence != c.reason.Sentence() {
				t.Errorf("the reason is %+v, want %s, listed %v, ready %v", got, c.reason, c.in, c.ready)
			}
			if (got.Since == nil) != (c.since == 0) || got.Since != nil && !got.Since.Equal(time.Unix(c.since, 0)) {
				t.Errorf("it holds since %v, want second %d", got.Since, c.since)
			}
		})
	}
}
