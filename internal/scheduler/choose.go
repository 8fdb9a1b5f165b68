package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Choose picks the node for pod: of the nodes that pass the filter, the one with the fewest Pods, and the first by name
// if several have as few. podsOn gives the number of Pods on each node. If no node passes, node is empty and why gives
// the reasons in the words of kube-scheduler.
func Choose(pod *v1.Pod, nodes []*v1.Node, podsOn map[string]int) (node, why string) {
	rejected := map[string]int{} // reason → nodes
	for _, n := range nodes {
		if reason := filter(n, pod); reason != "" {
			rejected[reason]++
			continue
		}
		if node == "" || podsOn[n.Name] < podsOn[node] || podsOn[n.Name] == podsOn[node] && n.Name < node {
			node = n.Name
		}
	}
	if node != "" {
		return node, ""
	}
	return "", explain(len(nodes), rejected)
}

func explain(total int, rejected map[string]int) string {
	if total == 0 {
		return "0/0 nodes are available: no node has registered yet."
	}
	var reasons []string
	for reason, n := range rejected {
		reasons = append(reasons, fmt.Sprintf("%d node(s) %s", n, reason))
	}
	slices.Sort(reasons)
	return fmt.Sprintf("0/%d nodes are available: %s.", total, strings.Join(reasons, ", "))
}

// filter gives the reason why a node cannot take pod; empty: it can.
func filter(n *v1.Node, pod *v1.Pod) string {
	switch {
	case n.DeletionTimestamp != nil:
		return "were being deleted"
	case n.Spec.Unschedulable:
		return "were unschedulable"
	case !nodeReady(n):
		return "were not ready"
	}
	for k, v := range pod.Spec.NodeSelector {
		if got, ok := n.Labels[k]; !ok || got != v {
			return "didn't match Pod's node selector"
		}
	}
	return ""
}

func nodeReady(n *v1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c v1.NodeCondition) bool {
		return c.Type == v1.NodeReady && c.Status == v1.ConditionTrue
	})
}

// needsNode reports whether this scheduler has to find a node for pod.
func needsNode(pod *v1.Pod) bool {
	name := pod.Spec.SchedulerName
	return pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil && len(pod.Spec.SchedulingGates) == 0 &&
		!finished(pod) &&
		(name == "" || name == v1.DefaultSchedulerName)
}

func finished(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}

// becamePending reports whether a changed Pod needs a node now and did not before, or is another Pod of the same name.
func becamePending(before, after *v1.Pod) bool {
	return needsNode(after) && (!needsNode(before) || before.UID != after.UID)
}

// schedulingChanged reports whether a changed node may take other Pods than before, or has another reason to take none.
func schedulingChanged(before, after *v1.Node) bool {
	return nodeReady(before) != nodeReady(after) ||
		before.Spec.Unschedulable != after.Spec.Unschedulable ||
		(before.DeletionTimestamp == nil) != (after.DeletionTimestamp == nil) ||
		before.UID != after.UID ||
		!maps.Equal(before.Labels, after.Labels)
}

// podsPerNode counts the Pods on each node. assumed are the nodes of Pods that were bound here, by UID; still are those
// of them that pods does not show yet.
func podsPerNode(pods []*v1.Pod, assumed map[types.UID]string) (on map[string]int, still map[types.UID]string) {
	on, still = map[string]int{}, map[types.UID]string{}
	for _, pod := range pods {
		node := pod.Spec.NodeName
		if node == "" && assumed[pod.UID] != "" {
			node = assumed[pod.UID]
			still[pod.UID] = node
		}
		if node != "" && !finished(pod) {
			on[node]++
		}
	}
	return on, still
}

// isMarked reports whether the condition of pod has that reason already.
func isMarked(pod *v1.Pod, why string) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c v1.PodCondition) bool {
		return c.Type == v1.PodScheduled && c.Status == v1.ConditionFalse && c.Reason == v1.PodReasonUnschedulable &&
			c.Message == why
	})
}
