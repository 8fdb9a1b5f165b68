package node

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestConditions(t *testing.T) {
	early, late := metav1.Unix(100, 0), metav1.Unix(200, 0)
	facts := func(units ...*unit) podFacts {
		return podFacts{Pod: &v1.Pod{Spec: v1.PodSpec{RestartPolicy: v1.RestartPolicyAlways}}, Units: units,
			Initialized: true, PodIPs: []string{"127.128.0.1"}, HostIP: "127.0.0.1", StartTime: early, Now: early}
	}
	first := podStatus(facts(runs(0), starting(0)))
	if c := find(first.Conditions, v1.PodReady); c.Status != v1.ConditionFalse || c.Reason != "ContainersNotReady" ||
		c.LastTransitionTime != early {
		t.Errorf("one of two ready: %+v", c)
	}
	f := facts(runs(0), runs(0))
	f.Pod.Status, f.Now = first, late
	second := podStatus(f)
	for kind, want := range map[v1.PodConditionType]metav1.Time{v1.PodReady: late, v1.ContainersReady: late,
		v1.PodInitialized: early, v1.PodScheduled: early} {
		if c := find(second.Conditions, kind); c.Status != v1.ConditionTrue || c.LastTransitionTime != want {
			t.Errorf("%s is %+v, want True since %v", kind, c, want)
		}
	}
	if second.StartTime == nil || *second.StartTime != early || second.PodIPs[0].IP != "127.128.0.1" ||
		second.HostIPs[0].IP != "127.0.0.1" {
		t.Errorf("status %+v", second)
	}
	f.Pod.Status, f.Leaving = second, true
	if c := find(podStatus(f).Conditions, v1.PodReady); c.Status != v1.ConditionFalse || c.Reason != reasonAgentStopped {
		t.Errorf("when the agent leaves: %+v", c)
	}
	init := facts(runs(initContainer), idle(0))
	init.Initialized = false
	if c := find(podStatus(init).Conditions, v1.PodInitialized); c.Status != v1.ConditionFalse ||
		c.Reason != "ContainersNotInitialized" {
		t.Errorf("while initializing: %+v", c)
	}
	if s := podStatus(init); s.ContainerStatuses[0].State.Waiting.Reason != reasonInitializing ||
		len(s.InitContainerStatuses) != 1 {
		t.Errorf("while initializing: %+v", s)
	}
	done := facts(exited(0, 0))
	done.Pod.Spec.RestartPolicy = v1.RestartPolicyNever
	if s := podStatus(done); s.Phase != v1.PodSucceeded || find(s.Conditions, v1.PodReady).Reason != "PodCompleted" {
		t.Errorf("when done: %+v", s)
	}
}

func TestRestore(t *testing.T) {
	at := metav1.Unix(300, 0)
	end := &v1.ContainerStateTerminated{ExitCode: 3}
	c := &v1.Container{Name: "c"}
	state := func(s v1.ContainerState) *v1.ContainerStatus {
		return &v1.ContainerStatus{Name: "c", RestartCount: 4, ContainerID: "id", State: s,
			LastTerminationState: v1.ContainerState{Terminated: end}}
	}
	if r := restore(c, nil, at); r.Ended != nil || r.Interrupted || r.Name != "c" {
		t.Errorf("never seen: %+v", r)
	}
	r := restore(c, state(v1.ContainerState{Running: &v1.ContainerStateRunning{}}), at)
	if !r.Interrupted || r.Ended.ExitCode != 137 || r.Ended.FinishedAt != at || r.Before != end || r.Restarts != 4 ||
		r.Running != nil {
		t.Errorf("was running: %+v", r)
	}
	newer := &v1.ContainerStateTerminated{ExitCode: 5}
	if r := restore(c, state(v1.ContainerState{Terminated: newer}), at); r.Interrupted || r.Ended != newer ||
		r.Before != end {
		t.Errorf("had ended: %+v", r)
	}
	if r := restore(c, state(v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: reasonAgentStopped}}),
		at); !r.Interrupted || r.Ended != end {
		t.Errorf("was stopped with the agent: %+v", r)
	}
	if r := restore(c, state(v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: reasonCrashLoop}}),
		at); r.Interrupted || r.Ended != end {
		t.Errorf("was backing off: %+v", r)
	}
}

func TestStatusPatch(t *testing.T) {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u"}, Status: v1.PodStatus{Phase: v1.PodPending,
		Conditions: []v1.PodCondition{{Type: "other", Status: "True"}}}}
	if patch, err := statusPatch(pod, pod.Status); err != nil || patch != nil {
		t.Errorf("nothing to write gave %s, %v", patch, err)
	}
	want := *pod.Status.DeepCopy()
	want.Phase = v1.PodRunning
	patch, err := statusPatch(pod, want)
	if err != nil || string(patch) != `{"metadata":{"uid":"u"},"status":{"phase":"Running"}}` {
		t.Errorf("patch %s, %v", patch, err)
	}
}
