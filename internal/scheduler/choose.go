package scheduler

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// Choose picks the node for pod: of those that can take it the one with the fewest Pods, by name where several have as few. If there is
// none, why says so in the words of kube-scheduler.
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
		(name == "" || name == v1.DefaultSchedulerName)
}
