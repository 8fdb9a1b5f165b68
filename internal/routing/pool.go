package routing

import "slices"

// pools are the two lists every Frontend of one Service port and family chooses from.
type pools struct {
	cluster Pool // endpoints anywhere, near ones preferred when hints say so
	local   Pool // endpoints on this node
}

func poolsOf(node Node, all []endpoint) pools {
	return pools{cluster: clusterPool(node, all), local: localPool(all)}
}

// pick is the list a traffic policy means.
func (p pools) pick(localOnly bool) Pool {
	if localOnly {
		return p.local
	}
	return p.cluster
}

// clusterPool: the ready endpoints that topology leaves, else those that terminate but still serve, wherever they are.
func clusterPool(node Node, all []endpoint) Pool {
	if ready := filter(all, endpoint.picked); len(ready) > 0 {
		return nearest(node, ready)
	}
	if last := filter(all, endpoint.fallback); len(last) > 0 {
		return Pool{Backends: backends(last), Empty: Reject, Why: OnlyTerminating}
	}
	return nobody(all)
}

// localPool: the same two steps among this node's endpoints. Topology has no say: they are all here. With usable
// endpoints elsewhere the connection is dropped, not rejected: a load balancer's other node may serve it.
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

func nobody(all []endpoint) Pool {
	switch {
	case len(all) == 0:
		return Pool{Empty: Reject, Why: None}
	case slices.ContainsFunc(all, endpoint.drained):
		return Pool{Empty: Reject, Why: Drained}
	}
	return Pool{Empty: Reject, Why: NoneReady}
}

// nearest obeys topology hints, and only when they are whole: every ready endpoint has one and at least one names this
// node (or zone). One endpoint without hints means that the hints are being written right now, and everybody serves.
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

// backends keeps the order, so the result is sorted and distinct because endpointsOf is.
func backends(from []endpoint) []Backend {
	out := make([]Backend, len(from))
	for i, e := range from {
		out[i] = Backend{Addr: e.addr, Weight: e.weight, Local: e.local, ReadySince: e.readySince}
	}
	return out
}
