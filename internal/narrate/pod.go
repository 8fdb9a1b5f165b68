package narrate

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// Pod describes the progress of a Pod: scheduled, running, ready, unready, ended, deleted. Several changes at once make
// one line. before is nil if the Pod is new, after if it is deleted.
func Pod(before, after *v1.Pod) string {
	switch {
	case before == nil && after == nil:
		return ""
	case after == nil:
		return fmt.Sprintf("pod %s deleted", title(before))
	case before == nil:
		return sentence(after, append([]string{"created"}, changes(&v1.Pod{}, after)...))
	default:
		return sentence(after, changes(before, after))
	}
}

func sentence(pod *v1.Pod, facts []string) string {
	if len(facts) == 0 {
		return ""
	}
	return fmt.Sprintf("pod %s: %s", title(pod), strings.Join(facts, ", "))
}

// changes lists the changes from before to after, in the order of a Pod's life.
func changes(before, after *v1.Pod) []string {
	var facts []string
	if after.Spec.NodeName != "" && before.Spec.NodeName == "" {
		facts = append(facts, "scheduled to "+after.Spec.NodeName)
	}
	facts = append(facts, phase(before, after)...)
	facts = append(facts, ready(before, after)...)
	facts = append(facts, containers(before, after)...)
	if after.DeletionTimestamp != nil && before.DeletionTimestamp == nil {
		facts = append(facts, "stopping")
	}
	return facts
}

func phase(before, after *v1.Pod) []string {
	if before.Status.Phase == after.Status.Phase {
		return nil
	}
	switch after.Status.Phase {
	case v1.PodRunning:
		return []string{"running at " + after.Status.PodIP}
	case v1.PodSucceeded:
		return []string{"finished"}
	case v1.PodFailed:
		return []string{"failed" + because(after.Status.Reason, after.Status.Message)}
	default:
		return nil
	}
}

func ready(before, after *v1.Pod) []string {
	was, is := condition(before, v1.PodReady), condition(after, v1.PodReady)
	switch {
	case is.Status == v1.ConditionTrue && was.Status != v1.ConditionTrue:
		return []string{"ready"}
	case is.Status != v1.ConditionTrue && was.Status == v1.ConditionTrue && after.DeletionTimestamp == nil:
		return []string{"not ready" + because(is.Reason, is.Message)}
	default:
		return nil
	}
}

// condition gives the condition of a type, or the zero condition if the Pod has none.
func condition(pod *v1.Pod, t v1.PodConditionType) v1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == t {
			return c
		}
	}
	return v1.PodCondition{}
}

// containers lists the containers that ended or restarted, and those that newly wait for something other than their
// creation.
func containers(before, after *v1.Pod) []string {
	was := map[string]v1.ContainerStatus{}
	for _, c := range before.Status.ContainerStatuses {
		was[c.Name] = c
	}
	var facts []string
	for _, c := range after.Status.ContainerStatuses {
		facts = append(facts, container(was[c.Name], c)...)
	}
	return facts
}

func container(before, after v1.ContainerStatus) []string {
	var facts []string
	if end := ended(after); end != nil && (ended(before) == nil || ended(before).ContainerID != end.ContainerID ||
		ended(before).FinishedAt != end.FinishedAt) {
		facts = append(facts, fmt.Sprintf("container %s ended with code %d%s", after.Name, end.ExitCode,
			because(end.Reason, end.Message)))
	}
	if after.RestartCount > before.RestartCount && after.State.Running != nil {
		facts = append(facts, fmt.Sprintf("container %s restarted (restart %d)", after.Name, after.RestartCount))
	}
	if w := after.State.Waiting; w != nil && len(facts) == 0 && w.Reason != "ContainerCreating" && w.Reason != "" &&
		(before.State.Waiting == nil || before.State.Waiting.Reason != w.Reason) {
		facts = append(facts, fmt.Sprintf("container %s waiting: %s", after.Name, w.Reason))
	}
	return facts
}

// ended gives the last end of the container, of this run or the one before; nil if it never ended.
func ended(c v1.ContainerStatus) *v1.ContainerStateTerminated {
	if c.State.Terminated != nil {
		return c.State.Terminated
	}
	return c.LastTerminationState.Terminated
}

func because(reason, message string) string {
	switch {
	case reason == "" && message == "":
		return ""
	case message == "":
		return " (" + reason + ")"
	case reason == "":
		return " (" + message + ")"
	default:
		return " (" + reason + ": " + message + ")"
	}
}
