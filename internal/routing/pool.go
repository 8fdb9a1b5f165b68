package routing

import "slices"

// pools are the two pools of one Service port and family. Every Frontend uses one or both of them.
type pools struct {
	cluster Pool // endpoints on all nodes; topology hints may limit it to near endpoints
	local   Pool // endpoints on this node
}

func poolsOf(node Node, all []endpoint) pools {
	return pools{cluster: clusterPool(node, all), local: localPool(all)}
}

// pick is the pool for a traffic policy: Local or Cluster.
func (p pools) pick(localOnly bool) Pool {
	if localOnly {
		return p.local
	}
	return p.cluster
}

// clusterPool takes the ready endpoints that topology hints select. If no endpoint is ready, it takes all endpoints
// that are terminating but still serving, on all nodes.
func clusterPool(node Node, all []endpoint) Pool {
	if ready := filter(all, endpoint.picked); len(ready) > 0 {
		return nearest(node, ready)
	}
	if last := filter(all, endpoint.fallback); len(last) > 0 {
		return Pool{Backends: backends(last), Empty: Reject, Why: OnlyTerminating}
	}
	return nobody(all)
}

// localPool takes the same two steps among the endpoints of this node. Topology hints are ignored, because all these
// endpoints are here. If only other nodes have usable endpoints, the connection is dropped, not rejected: a load
// balancer can send it to one of these nodes.
func localPool(all []endpoint) Pool {
	here := filter(all, func(e endpoint) bool { return e.local })
	if ready := filter(here, endpoint.picked); len(ready) > 0 {
		return Pool{Backends: backends(ready), Empty: Drop, Why: LocalOnly}
	}
	if last := filter(here, endpoint.fallback); len(last) > 0 {
		return Pool{Backends: backends(last), Empty: Drop, Why: LocalTerminating}
	}
	if slices.ContainsFunc(all, endpoint.usable) {
		return Pool{Empty: Drop, Why: NoneLocal}
	}
	return nobody(all)
}

// The result is the empty pool for the case that no endpoint is usable, with the reason.
func nobody(all []endpoint) Pool {
	switch {
	case len(all) == 0:
		return Pool{Empty: Reject, Why: None}
	case slices.ContainsFunc(all, endpoint.drained):
		return Pool{Empty: Reject, Why: Drained}
	}
	return Pool{Empty: Reject, Why: NoneReady}
}

// nearest selects endpoints by topology hints. Hints count only when they are complete: every ready endpoint has a
// hint, and at least one hint names this node (or zone). An endpoint without a hint means that a controller is still
// writing the hints; until then all ready endpoints serve.
func nearest(node Node, ready []endpoint) Pool {
	byNode := func(e endpoint) []string { return e.forNodes }
	byZone := func(e endpoint) []string { return e.forZones }
	if near := hinted(ready, node.Name, byNode); len(near) > 0 {
		return Pool{Backends: backends(near), Empty: Reject, Why: SameNode}
	}
	if near := hinted(ready, node.Zone, byZone); len(near) > 0 {
		return Pool{Backends: backends(near), Empty: Reject, Why: SameZone}
	}
	return Pool{Backends: backends(ready), Empty: Reject, Why: All}
}

func hinted(ready []endpoint, me string, hints func(endpoint) []string) []endpoint {
	without := func(e endpoint) bool { return len(hints(e)) == 0 }
	if me == "" || slices.ContainsFunc(ready, without) {
		return nil
	}
	return filter(ready, func(e endpoint) bool { return slices.Contains(hints(e), me) })
}

func filter(all []endpoint, keep func(endpoint) bool) []endpoint {
	var kept []endpoint
	for _, e := range all {
		if keep(e) {
			kept = append(kept, e)
		}
	}
	return kept
}

// backends converts endpoints and keeps their order. The result is sorted and distinct, as the result of endpointsOf
// is.
func backends(from []endpoint) []Backend {
	out := make([]Backend, len(from))
	for i, e := range from {
		out[i] = Backend{Addr: e.addr, Weight: e.weight, Local: e.local, ReadySince: e.readySince}
	}
	return out
}
