package membership

import (
	v1 "k8s.io/api/core/v1"
)

// A Topology holds the facts about nodes that hints need: the zones of the nodes, and the share of the CPU in each
// zone. It is for one goroutine at a time.
type Topology struct {
	nodes map[string]node
}

// node is what a Topology keeps of one node.
type node struct {
	zone  string
	milli int64 // allocatable CPU in thousandths; 0: not known
	works bool  // the node is ready and runs Pods of users
}

// NewTopology makes a Topology without nodes.
func NewTopology() *Topology { return &Topology{nodes: map[string]node{}} }

// Set adds a node, or updates it. It reports whether the zone of the node's Pods has changed, and whether the CPU
// shares of the zones have changed.
func (t *Topology) Set(n *v1.Node) (zone, shares bool) {
	was, known := t.nodes[n.Name]
	is := node{zone: n.Labels[v1.LabelTopologyZone], milli: n.Status.Allocatable.Cpu().MilliValue(), works: works(n)}
	t.nodes[n.Name] = is
	return !known || was.zone != is.zone, was != is && (was.works || is.works)
}

// Drop removes a node, if it is there. Its results are those of Set.
func (t *Topology) Drop(name string) (zone, shares bool) {
	was, known := t.nodes[name]
	delete(t.nodes, name)
	return known, was.works
}

// Zone returns the zone of a node, "" if it has none; false if there is no such node. Zone is a NodeZone.
func (t *Topology) Zone(name string) (string, bool) {
	n, ok := t.nodes[name]
	return n.zone, ok
}

// Labels of nodes that run no Pods of users.
const (
	controlPlaneLabel = "node-role.kubernetes.io/control-plane"
	masterLabel       = "node-role.kubernetes.io/master"
)

func works(n *v1.Node) bool {
	_, control := n.Labels[controlPlaneLabel]
	_, master := n.Labels[masterLabel]
	if control || master {
		return false
	}
	for _, c := range n.Status.Conditions {
		if c.Type == v1.NodeReady {
			return c.Status == v1.ConditionTrue
		}
	}
	return false
}

// shares returns the share of each zone in all CPU; the shares add up to 1. If they cannot be computed, shares returns
// none, and why says in words what is missing.
func (t *Topology) shares() (shares map[string]float64, why string) {
	cpu, total := map[string]int64{}, int64(0)
	for _, n := range t.nodes {
		switch {
		case !n.works:
		case n.zone == "":
			return nil, "a ready node is in no zone"
		case n.milli == 0:
			return nil, "a ready node does not say how much CPU it has"
		default:
			cpu[n.zone] += n.milli
			total += n.milli
		}
	}
	if len(cpu) < 2 {
		return nil, "the ready nodes are not in two zones or more"
	}
	shares = map[string]float64{}
	for zone, milli := range cpu {
		shares[zone] = float64(milli) / float64(total)
	}
	return shares, ""
}
