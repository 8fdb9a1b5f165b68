package narrate

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
)

// Node says when a node joins, becomes ready, stops being ready, or leaves. before is nil when it is new, after when it
// is gone.
func Node(before, after *v1.Node) string {
	switch {
	case before == nil && after == nil:
		return ""
	case after == nil:
		return fmt.Sprintf("node %s is gone", before.Name)
	case before == nil && nodeReady(after):
		return fmt.Sprintf("node %s joined, ready", after.Name)
	case before == nil:
		return fmt.Sprintf("node %s joined", after.Name)
	case nodeReady(before) != nodeReady(after):
		return fmt.Sprintf("node %s is %s", after.Name, map[bool]string{true: "ready", false: "not ready"}[nodeReady(after)])
	default:
		return ""
	}
}

func nodeReady(n *v1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == v1.NodeReady {
			return c.Status == v1.ConditionTrue
		}
	}
	return false
}
