package node

import (
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of containers that do not run, as kubectl shows them.
const (
	reasonCreating     = "ContainerCreating"
	reasonInitializing = "PodInitializing"
	reasonConfigError  = "CreateContainerConfigError" // something it needs to start is missing or wrong
	reasonRunError     = "RunContainerError"          // the command could not be started
	reasonCrashLoop    = "CrashLoopBackOff"
	reasonAgentStopped = "AgentStopped" // the agent ended and stopped the container; the next agent restarts it
	reasonAgentDied    = "ContainerStatusUnknown"
	reasonStartError   = "StartError"
	reasonCompleted    = "Completed"
	reasonError        = "Error"
)

// A record is what the agent knows about one container. The API's ContainerStatus is made from it.
type record struct {
	Name, Image string
	Restarts    int32
	ID          string                       // of the present or last run; empty before the first
	Running     *v1.ContainerStateRunning    // nil: it does not run
	Ended       *v1.ContainerStateTerminated // how the last run ended; nil: it has not
	Before      *v1.ContainerStateTerminated // how the run before that ended
	Waiting     *v1.ContainerStateWaiting    // why it does not run although it should; nil where Ended explains it
	Interrupted bool                         // the last run ended with the agent, not by itself
	Started     bool                         // it runs, and has passed its startup probe and postStart hook
	Ready       bool                         // and its readiness probe too
	NotBefore   time.Time                    // when it may start (again)
}

// ended notes the end of the present run.
func (r *record) ended(how v1.ContainerStateTerminated) {
	r.Before, r.Ended = r.Ended, &how
	r.Running, r.Waiting = nil, nil
	r.Started, r.Ready, r.Interrupted = false, false, false
}

// status makes the ContainerStatus. An init container counts as ready once it has succeeded.
func (u *unit) status(initialized bool) v1.ContainerStatus {
	started := u.Started
	s := v1.ContainerStatus{
		Name: u.Name, Image: u.Image, ContainerID: u.ID, RestartCount: u.Restarts,
		Started: &started, Ready: u.Ready || u.Kind == initContainer && u.succeeded(),
	}
	switch {
	case u.Running != nil:
		s.State.Running, s.LastTerminationState.Terminated = u.Running, u.Ended
	case u.Waiting != nil:
		s.State.Waiting, s.LastTerminationState.Terminated = u.Waiting, u.Ended
	case u.Ended != nil:
		s.State.Terminated, s.LastTerminationState.Terminated = u.Ended, u.Before
	case u.Kind == mainContainer && !initialized:
		s.State.Waiting = &v1.ContainerStateWaiting{Reason: reasonInitializing}
	default:
		s.State.Waiting = &v1.ContainerStateWaiting{Reason: reasonCreating}
	}
	return s
}

// restore makes the record of a container that an earlier agent ran, from the status that agent wrote. A container that
// was running was killed with the agent, at an unknown time: now is taken for it.
func restore(c *v1.Container, had *v1.ContainerStatus, now metav1.Time) record {
	r := record{Name: c.Name, Image: c.Image}
	if had == nil {
		return r
	}
	r.Restarts, r.ID = had.RestartCount, had.ContainerID
	r.Ended = had.LastTerminationState.Terminated
	switch {
	case had.State.Running != nil:
		r.ended(v1.ContainerStateTerminated{
			ExitCode: 137, Reason: reasonAgentDied, Message: "the agent ended unexpectedly while this container ran",
			StartedAt: had.State.Running.StartedAt, FinishedAt: now, ContainerID: had.ContainerID,
		})
		r.Interrupted = true
	case had.State.Terminated != nil:
		r.Before, r.Ended = r.Ended, had.State.Terminated
	case had.State.Waiting != nil && had.State.Waiting.Reason == reasonAgentStopped:
		r.Interrupted = true
	}
	return r
}

// podFacts are the inputs of a Pod's status.
type podFacts struct {
	Pod         *v1.Pod // as last seen: source of conditions of other writers and of readiness gates
	Units       []*unit
	Initialized bool
	PodIPs      []string // the primary first; empty: none yet
	HostIP      string
	StartTime   metav1.Time
	Now         metav1.Time
	Leaving     bool // the agent is ending: the Pod is not ready, whatever its containers are
}

// podStatus computes the status of a Pod. Conditions of other writers are kept.
func podStatus(f podFacts) v1.PodStatus {
	s := *f.Pod.Status.DeepCopy()
	s.HostIP, s.HostIPs = f.HostIP, []v1.HostIP{{IP: f.HostIP}}
	if len(f.PodIPs) > 0 {
		s.PodIP, s.PodIPs = f.PodIPs[0], nil
	}
	for _, ip := range f.PodIPs {
		s.PodIPs = append(s.PodIPs, v1.PodIP{IP: ip})
	}
	if s.StartTime == nil {
		s.StartTime = &f.StartTime
	}
	s.InitContainerStatuses, s.ContainerStatuses = nil, nil
	for _, u := range f.Units {
		if u.Kind == mainContainer {
			s.ContainerStatuses = append(s.ContainerStatuses, u.status(f.Initialized))
		} else {
			s.InitContainerStatuses = append(s.InitContainerStatuses, u.status(f.Initialized))
		}
	}
	if !finished(s.Phase) {
		s.Phase = phaseOf(f.Pod.Spec.RestartPolicy, f.Units, f.Initialized)
	}
	s.Conditions = conditions(f, s)
	return s
}

func finished(phase v1.PodPhase) bool {
	return phase == v1.PodSucceeded || phase == v1.PodFailed
}

// phaseOf computes the phase. A Pod is Pending until each main container has run once.
func phaseOf(policy v1.RestartPolicy, units []*unit, initialized bool) v1.PodPhase {
	if allOver(policy, units) {
		failed := slices.ContainsFunc(units, func(u *unit) bool { return u.Kind != sidecar && !u.succeeded() })
		if failed {
			return v1.PodFailed
		}
		return v1.PodSucceeded
	}
	for _, u := range units {
		if u.Kind == mainContainer && (!initialized || u.Running == nil && u.Ended == nil) {
			return v1.PodPending
		}
	}
	return v1.PodRunning
}
