package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Choose picks the node for pod: of those that can take it the one with the fewest Pods, by name where several have as
// few. If there is none, why says so in the words of kube-scheduler.
func Choose(pod *v1.Pod, nodes []*v1.Node, podsOn map[string]int) (node, why string) {
	refused := map[string]int{} // reason → nodes
	for _, n := range nodes {
		if reason := refuses(n, pod); reason != "" {
			refused[reason]++
			continue
		}
		if node == "" || podsOn[n.Name] < podsOn[node] || podsOn[n.Name] == podsOn[node] && n.Name < node {
			node = n.Name
		}
	}
	if node != "" {
		return node, ""
	}
	return "", explain(len(nodes), refused)
}

func explain(total int, refused map[string]int) string {
	if total == 0 {
		return "0/0 nodes are available: no node has registered yet."
	}
	var reasons []string
	for reason, n := range refused {
		reasons = append(reasons, fmt.Sprintf("%d node(s) %s", n, reason))
	}
	slices.Sort(reasons)
	return fmt.Sprintf("0/%d nodes are available: %s.", total, strings.Join(reasons, ", "))
}

// refuses says why a node cannot take pod, or "".
func refuses(n *v1.Node, pod *v1.Pod) string {
	switch {
	case n.DeletionTimestamp != nil:
		return "were being deleted"
	case n.Spec.Unschedulable:
		return "were unschedulable"
	case !isReady(n):
		return "were not ready"
	}
	for k, v := range pod.Spec.NodeSelector {
		if got, ok := n.Labels[k]; !ok || got != v {
			return "didn't match Pod's node selector"
		}
	}
	return ""
}

func isReady(n *v1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c v1.NodeCondition) bool {
		return c.Type == v1.NodeReady && c.Status == v1.ConditionTrue
	})
}

// waits says whether pod is to be put on a node here.
func waits(pod *v1.Pod) bool {
	name := pod.Spec.SchedulerName
	return pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil && len(pod.Spec.SchedulingGates) == 0 &&
		!finished(pod) &&
		(name == "" || name == v1.DefaultSchedulerName)
}

func finished(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}

// begins says whether a changed Pod is to be looked at: it waits now, and did not before, or is another one of the same
// name.
func begins(before, after *v1.Pod) bool {
	return waits(after) && (!waits(before) || before.UID != after.UID)
}

// alters says whether a changed node may take other Pods than before, or gives another reason for taking none.
func alters(before, after *v1.Node) bool {
	return isReady(before) != isReady(after) ||
		before.Spec.Unschedulable != after.Spec.Unschedulable ||
		(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil) ||
		before.UID != after.UID ||
		!maps.Equal(before.Labels, after.Labels)
}

// count gives the number of Pods on each node. placed are the nodes of Pods that were bound here (by UID), some of
// which pods does not show yet; still are those of them.
func count(pods []*v1.Pod, placed map[types.UID]string) (on map[string]int, still map[types.UID]string) {
	on, still = map[string]int{}, map[types.UID]string{}
	for _, pod := range pods {
		node := pod.Spec.NodeName
		if node == "" && placed[pod.UID] != "" {
			node = placed[pod.UID]
			still[pod.UID] = node
		}
		if node != "" && !finished(pod) {
			on[node]++
		}
	}
	return on, still
}

// isTold says whether pod carries the reason why it waits.
func isTold(pod *v1.Pod, why string) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c v1.PodCondition) bool {
		return c.Type == v1.PodScheduled && c.Status == v1.ConditionFalse && c.Reason == v1.PodReasonUnschedulable &&
			c.Message == why
	})
}
