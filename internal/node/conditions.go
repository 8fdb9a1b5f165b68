package node

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
)

// conditions gives the conditions of a Pod: those the agent decides, each with the time of its last change, and those
// of other writers unchanged. s is the rest of the Pod's new status.
func conditions(f podFacts, s v1.PodStatus) []v1.PodCondition {
	ready := containersReady(f, s.Phase)
	own := []v1.PodCondition{
		{Type: v1.PodInitialized, Status: truth(f.Initialized || s.Phase == v1.PodSucceeded)},
		podReady(f, ready),
		ready,
		{Type: v1.PodScheduled, Status: v1.ConditionTrue},
	}
	if own[0].Status == v1.ConditionFalse {
		own[0].Reason = "ContainersNotInitialized"
		own[0].Message = fmt.Sprintf("init containers that have not completed: %v", names(f.Units, func(u *unit) bool {
			return u.Kind == initContainer && !u.succeeded() || u.Kind == sidecar && !u.Started
		}))
	}
	result := []v1.PodCondition{}
	for _, c := range own {
		result = append(result, stamped(c, find(f.Pod.Status.Conditions, c.Type), f))
	}
	for _, c := range f.Pod.Status.Conditions {
		if find(result, c.Type) == nil {
			result = append(result, c)
		}
	}
	return result
}

// stamped sets the time of c: now if its status is new, else as before.
func stamped(c v1.PodCondition, before *v1.PodCondition, f podFacts) v1.PodCondition {
	c.LastTransitionTime = f.Now
	c.ObservedGeneration = f.Pod.Generation
	if before != nil && before.Status == c.Status {
		c.LastTransitionTime = before.LastTransitionTime
		if c.Type == v1.PodScheduled {
			return *before // with the scheduler's message
		}
	}
	return c
}

func containersReady(f podFacts, phase v1.PodPhase) v1.PodCondition {
	c := v1.PodCondition{Type: v1.ContainersReady, Status: v1.ConditionFalse}
	unready := names(f.Units, func(u *unit) bool { return u.Kind != initContainer && !u.Ready })
	switch {
	case phase == v1.PodSucceeded:
		c.Reason = "PodCompleted"
	case phase == v1.PodFailed:
		c.Reason = "PodFailed"
	case f.Leaving:
		c.Reason, c.Message = reasonAgentStopped, "the node's agent is ending"
	case len(unready) > 0:
		c.Reason, c.Message = "ContainersNotReady", fmt.Sprintf("containers that are not ready: %v", unready)
	default:
		c.Status = v1.ConditionTrue
	}
	return c
}

// podReady gives the condition Ready: the containers are ready, and every readiness gate is True.
func podReady(f podFacts, containers v1.PodCondition) v1.PodCondition {
	c := containers
	c.Type = v1.PodReady
	if c.Status != v1.ConditionTrue {
		return c
	}
	for _, gate := range f.Pod.Spec.ReadinessGates {
		if set := find(f.Pod.Status.Conditions, gate.ConditionType); set == nil || set.Status != v1.ConditionTrue {
			c.Status, c.Reason = v1.ConditionFalse, "ReadinessGatesNotReady"
			c.Message = fmt.Sprintf("the condition %q of a readiness gate is not True", gate.ConditionType)
			return c
		}
	}
	return c
}

func find(conditions []v1.PodCondition, kind v1.PodConditionType) *v1.PodCondition {
	for i := range conditions {
		if conditions[i].Type == kind {
			return &conditions[i]
		}
	}
	return nil
}

func truth(b bool) v1.ConditionStatus {
	if b {
		return v1.ConditionTrue
	}
	return v1.ConditionFalse
}

func names(units []*unit, which func(*unit) bool) []string {
	list := []string{}
	for _, u := range units {
		if which(u) {
			list = append(list, u.Name)
		}
	}
	return list
}
