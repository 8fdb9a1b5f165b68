package membership

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/annotations"
)

// weightedPod is a ready Pod of the Service that balancedService makes.
func weightedPod(name, ip, weight string) *v1.Pod {
	since := metav1.NewTime(time.Unix(1764280000, 0))
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{"app": "web"}},
		Status: v1.PodStatus{PodIP: ip, Conditions: []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue,
			LastTransitionTime: since}}},
	}
	if weight != "" {
		pod.Annotations = map[string]string{annotations.Weight: weight}
	}
	return pod
}

func balancedService(notes map[string]string) *v1.Service {
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "1", Annotations: notes},
		Spec: v1.ServiceSpec{ClusterIP: "10.96.0.10", Selector: map[string]string{"app": "web"},
			Ports: []v1.ServicePort{{Port: 80}}},
	}
}

// planned is the one slice that a plan for the Pods leads to.
func planned(t *testing.T, svc *v1.Service, have []*discovery.EndpointSlice, pods ...*v1.Pod) *discovery.EndpointSlice {
	t.Helper()
	plan := PlanSlices(svc, OfPods(svc, pods, nil), have)
	all := append(plan.Create, plan.Update...)
	if len(all) != 1 || len(plan.Delete) != 0 {
		t.Fatalf("the plan is %+v, want one slice", plan)
	}
	all[0].Name = "web-1"
	return all[0]
}

func TestSlicesCarryTheWeightsOfPods(t *testing.T) {
	svc := balancedService(nil)
	one, two := weightedPod("a", "10.0.0.1", ""), weightedPod("b", "10.0.0.2", "5")
	s := planned(t, svc, nil, one, two)
	if got := s.Annotations[annotations.Weights]; got != "10.0.0.2=5" {
		t.Errorf("the weights are %q", got)
	}
	if got, ok := s.Annotations[annotations.ReadySince]; ok {
		t.Errorf("without a slow start the slice says %q", got)
	}
	have := []*discovery.EndpointSlice{s}
	if plan := PlanSlices(svc, OfPods(svc, []*v1.Pod{one, two}, nil), have); !plan.Empty() {
		t.Errorf("what is so already is written again: %+v", plan)
	}
	// A change of a weight alone is written, a drained Pod is, and what cannot be read is as if it were not there.
	s = planned(t, svc, have, weightedPod("a", "10.0.0.1", "0"), weightedPod("b", "10.0.0.2", "heavy"))
	if got := s.Annotations[annotations.Weights]; got != "10.0.0.1=0" {
		t.Errorf("the weights are %q", got)
	}
	s = planned(t, svc, []*discovery.EndpointSlice{s}, one, weightedPod("b", "10.0.0.2", "1"))
	if got, ok := s.Annotations[annotations.Weights]; ok {
		t.Errorf("the weights are %q, and all are 1", got)
	}
}

func TestSlicesCarryTheTimesOfASlowStart(t *testing.T) {
	svc := balancedService(map[string]string{annotations.SlowStart: "30s"})
	notReady := weightedPod("b", "10.0.0.2", "")
	notReady.Status.Conditions[0].Status = v1.ConditionFalse
	s := planned(t, svc, nil, weightedPod("a", "10.0.0.1", ""), notReady)
	if got := s.Annotations[annotations.ReadySince]; got != "10.0.0.1=1764280000" {
		t.Errorf("the times are %q", got)
	}
}

func TestAWeightMatters(t *testing.T) {
	light, heavy := weightedPod("a", "10.0.0.1", "1"), weightedPod("a", "10.0.0.1", "2")
	if !Matters(light, heavy) || Matters(heavy, heavy.DeepCopy()) {
		t.Error("Matters does not follow the weight")
	}
	if got := Slim(heavy).Annotations; len(got) != 1 || got[annotations.Weight] != "2" {
		t.Errorf("Slim keeps the annotations %v", got)
	}
	noted := light.DeepCopy()
	noted.Annotations = map[string]string{"example.org/note": "long"}
	if got := Slim(noted).Annotations; got != nil {
		t.Errorf("Slim keeps the annotations %v", got)
	}
}

func TestAWeightThatCannotBeReadIsAnEvent(t *testing.T) {
	svc := balancedService(nil)
	d := Decide(Inputs{Service: svc, Pods: []*v1.Pod{weightedPod("a", "10.0.0.1", "3"), weightedPod("b", "10.0.0.2",
		"x")}})
	if len(d.Events) != 1 || d.Events[0].About() != (ObjectKey{KindPod, "b"}) ||
		d.Events[0].Reason() != EventInvalidAnnotation {
		t.Errorf("the events are %+v", d.Events)
	}
}
