package printers

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	running   = v1.ContainerState{Running: &v1.ContainerStateRunning{}}
	completed = v1.ContainerState{Terminated: &v1.ContainerStateTerminated{Reason: "Completed"}}
)

func waiting(reason string) v1.ContainerState {
	return v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: reason}}
}

func ended(t v1.ContainerStateTerminated) v1.ContainerState { return v1.ContainerState{Terminated: &t} }

// pod makes a Pod named p of so many containers, and lets build do the rest.
func pod(phase v1.PodPhase, containers int, build ...func(*v1.Pod)) *v1.Pod {
	p := &v1.Pod{ObjectMeta: created("p"), Spec: v1.PodSpec{Containers: make([]v1.Container, containers)},
		Status: v1.PodStatus{Phase: phase}}
	for _, f := range build {
		f(p)
	}
	return p
}

func states(list ...v1.ContainerStatus) func(*v1.Pod) {
	return func(p *v1.Pod) { p.Status.ContainerStatuses = list }
}

// inits gives the Pod init containers i0, i1, …, of which the first are sidecars.
func inits(sidecars int, list ...v1.ContainerStatus) func(*v1.Pod) {
	return func(p *v1.Pod) {
		always := v1.ContainerRestartPolicyAlways
		for i := range list {
			list[i].Name = "i" + string(rune('0'+i))
			c := v1.Container{Name: list[i].Name}
			if i < sidecars {
				c.RestartPolicy = &always
			}
			p.Spec.InitContainers = append(p.Spec.InitContainers, c)
		}
		p.Status.InitContainerStatuses = list
	}
}

func condition(kind v1.PodConditionType, status v1.ConditionStatus, reason string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, v1.PodCondition{Type: kind, Status: status, Reason: reason})
	}
}

func deleted(p *v1.Pod) { at := ago(time.Second); p.DeletionTimestamp = &at }

func TestPodRows(t *testing.T) {
	const rest = " | 5m | <none> | <none> | <none> | <none>"
	yes := true
	ready := v1.ContainerStatus{Ready: true, State: running}
	failedBefore := v1.ContainerState{Terminated: &v1.ContainerStateTerminated{FinishedAt: ago(7 * time.Minute)}}
	tests := []struct {
		name, want string
		pod        *v1.Pod
	}{
		{"new", "p | 0/1 | Pending | 0" + rest, pod(v1.PodPending, 1)},
		{"running", "p | 1/2 | Running | 0" + rest, pod(v1.PodRunning, 2, states(ready, v1.ContainerStatus{State: running}))},
		{"reason of the status wins over the phase", "p | 0/1 | Evicted | 0" + rest,
			pod(v1.PodFailed, 1, func(p *v1.Pod) { p.Status.Reason = "Evicted" })},
		{"scheduling gated", "p | 0/1 | SchedulingGated | 0" + rest,
			pod(v1.PodPending, 1, condition(v1.PodScheduled, v1.ConditionFalse, v1.PodReasonSchedulingGated))},
		{"creating", "p | 0/1 | ContainerCreating | 0" + rest,
			pod(v1.PodPending, 1, states(v1.ContainerStatus{State: waiting("ContainerCreating")}))},
		{"restarted, a while ago", "p | 1/1 | Running | 2 (7m ago)" + rest,
			pod(v1.PodRunning, 1, states(v1.ContainerStatus{Ready: true, State: running, RestartCount: 2,
				LastTerminationState: failedBefore}))},
		{"restarted, unknown when", "p | 1/1 | Running | 2" + rest,
			pod(v1.PodRunning, 1, states(v1.ContainerStatus{Ready: true, State: running, RestartCount: 2}))},
		{"backing off", "p | 0/1 | CrashLoopBackOff | 3 (7m ago)" + rest,
			pod(v1.PodRunning, 1, states(v1.ContainerStatus{State: waiting("CrashLoopBackOff"), RestartCount: 3,
				LastTerminationState: failedBefore}))},
		{"completed", "p | 0/1 | Completed | 0" + rest, pod(v1.PodSucceeded, 1,
			states(v1.ContainerStatus{State: completed}))},
		{"failed with a reason", "p | 0/1 | Error | 0" + rest,
			pod(v1.PodFailed, 1, states(v1.ContainerStatus{State: ended(v1.ContainerStateTerminated{Reason: "Error",
				ExitCode: 1})}))},
		{"failed with a code", "p | 0/1 | ExitCode:3 | 0" + rest,
			pod(v1.PodFailed, 1, states(v1.ContainerStatus{State: ended(v1.ContainerStateTerminated{ExitCode: 3})}))},
		{"killed", "p | 0/1 | Signal:9 | 0" + rest,
			pod(v1.PodFailed, 1, states(v1.ContainerStatus{State: ended(v1.ContainerStateTerminated{Signal: 9,
				ExitCode: 137})}))},
		{"the first container is heard", "p | 0/2 | Error | 0" + rest, pod(v1.PodRunning, 2, states(
			v1.ContainerStatus{State: ended(v1.ContainerStateTerminated{Reason: "Error"})},
			v1.ContainerStatus{State: waiting("ImagePullBackOff")}))},
		{"one completed, one running", "p | 1/2 | NotReady | 0" + rest,
			pod(v1.PodRunning, 2, states(v1.ContainerStatus{State: completed}, ready))},
		{"one completed, one running, ready", "p | 1/2 | Running | 0" + rest, pod(v1.PodRunning, 2,
			states(v1.ContainerStatus{State: completed}, ready), condition(v1.PodReady, v1.ConditionTrue, ""))},
		{"initializing", "p | 0/1 | Init:1/2 | 0" + rest,
			pod(v1.PodPending, 1, inits(0, v1.ContainerStatus{State: completed}, v1.ContainerStatus{State: running}))},
		{"init failed with a reason", "p | 0/1 | Init:Error | 1" + rest, pod(v1.PodPending, 1,
			inits(0, v1.ContainerStatus{RestartCount: 1, State: ended(v1.ContainerStateTerminated{Reason: "Error",
				ExitCode: 1})}))},
		{"init failed with a code", "p | 0/1 | Init:ExitCode:2 | 0" + rest,
			pod(v1.PodPending, 1, inits(0, v1.ContainerStatus{State: ended(v1.ContainerStateTerminated{ExitCode: 2})}))},
		{"init killed", "p | 0/1 | Init:Signal:9 | 0" + rest,
			pod(v1.PodPending, 1,
				inits(0, v1.ContainerStatus{State: ended(v1.ContainerStateTerminated{Signal: 9, ExitCode: 137})}))},
		{"init backing off", "p | 0/1 | Init:CrashLoopBackOff | 0" + rest,
			pod(v1.PodPending, 1, inits(0, v1.ContainerStatus{State: waiting("CrashLoopBackOff")}))},
		{"init not begun", "p | 0/1 | Init:0/1 | 0" + rest,
			pod(v1.PodPending, 1, inits(0, v1.ContainerStatus{State: waiting("PodInitializing")}))},
		{"init done: its restarts are history", "p | 1/1 | Running | 0" + rest,
			pod(v1.PodRunning, 1, inits(0, v1.ContainerStatus{State: completed, RestartCount: 4}), states(ready))},
		{"sidecar counts", "p | 2/2 | Running | 1" + rest,
			pod(v1.PodRunning, 1, inits(1, v1.ContainerStatus{Ready: true, Started: &yes, State: running, RestartCount: 1}),
				states(ready))},
		{"being deleted", "p | 1/1 | Terminating | 0" + rest, pod(v1.PodRunning, 1, states(ready), deleted)},
		{"being deleted, ended", "p | 0/1 | Completed | 0" + rest, pod(v1.PodSucceeded, 1,
			states(v1.ContainerStatus{State: completed}), deleted)},
		{"being deleted, node lost", "p | 0/1 | Unknown | 0" + rest,
			pod(v1.PodRunning, 1, deleted, func(p *v1.Pod) { p.Status.Reason = "NodeLost" })},
		{"wide", "p | 0/1 | Running | 0 | 5m | 10.0.0.1 | node-1 | node-2 | 1/2",
			pod(v1.PodRunning, 1, condition("a", v1.ConditionTrue, ""), func(p *v1.Pod) {
				p.Status.PodIP, p.Status.PodIPs = "10.0.0.1", []v1.PodIP{{IP: "10.0.0.1"}}
				p.Spec.NodeName, p.Status.NominatedNodeName = "node-1", "node-2"
				p.Spec.ReadinessGates = []v1.PodReadinessGate{{ConditionType: "a"}, {ConditionType: "b"}}
			})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := row(t, Pods(), tt.pod); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestEndedPodsAreMarked(t *testing.T) {
	for phase, want := range map[v1.PodPhase]int{v1.PodRunning: 0, v1.PodSucceeded: 1, v1.PodFailed: 1} {
		got := convert(t, "pods", pod(phase, 1), nil).Rows[0].Conditions
		if len(got) != want {
			t.Errorf("%s: %d conditions, want %d", phase, len(got), want)
		}
		if want == 1 && (got[0].Type != metav1.RowCompleted || got[0].Reason != string(phase)) {
			t.Errorf("%s: condition %v", phase, got[0])
		}
	}
}
