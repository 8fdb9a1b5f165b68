package narrate

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
)

// Node describes that a node joins, becomes ready, becomes unready or is deleted. before is nil if the node is new,
// after if it is deleted.
func Node(before, after *v1.Node) string {
	switch {
	case before == nil && after == nil:
		return ""
	case after == nil:
		return fmt.Sprintf("node %s deleted", before.Name)
	case before == nil && nodeReady(after):
		return fmt.Sprintf("node %s joined, ready", after.Name)
	case before == nil:
		return fmt.Sprintf("node %s joined", after.Name)
	case nodeReady(after) && !nodeReady(before):
		return fmt.Sprintf("node %s is ready", after.Name)
	case nodeReady(before) && !nodeReady(after):
		return fmt.Sprintf("node %s is not ready", after.Name)
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
