package collect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/explain"
	"viaduct/internal/proxy"
	"viaduct/internal/proxy/nft"
	"viaduct/internal/routing"
)

// askProxy reads the state of the proxy of this node, and of the kernel.
func (c *Collector) askProxy(ctx context.Context, s *explain.Snapshot, nodes []*v1.Node) {
	if c.Proxy == "" || s.Service.Spec.Type == v1.ServiceTypeExternalName || s.Service.Spec.ClusterIP == v1.ClusterIPNone {
		return
	}
	var state explain.NodeState
	err := GetJSON(ctx, fmt.Sprintf("%s/debug/services/%s/%s", c.Proxy, s.Service.Namespace, s.Service.Name), &state)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		s.NoProxy = fmt.Sprintf("no proxy answers at %s: what is applied on a node is reported on that node "+
			"(--proxy-address)", c.Proxy)
		readKernel(s)
		if s.KernelOK { // a proxy that no longer runs left these rules
			s.NoProxy = fmt.Sprintf("no proxy answers at %s: the kernel is compared with what a proxy would apply now, "+
				"and follows no change", c.Proxy)
			s.Proxy = c.computed(s, nodes)
		}
	case errors.Is(err, ErrNotViaduct):
		s.NoProxy = fmt.Sprintf("what answers at %s is %v: what it has applied is not known", c.Proxy, err)
	case err != nil:
		s.NoProxy = fmt.Sprintf("asking the proxy failed: %v", err)
	default:
		if s.Proxy = &state; state.Mode == explain.ModeKernel {
			readKernel(s)
		}
	}
}

// readKernel reads what the kernel does with connections to the Service. It needs root; otherwise the snapshot has no
// kernel state.
func readKernel(s *explain.Snapshot) {
	description, err := nft.Describe()
	if err != nil || len(description.Tables) == 0 {
		return
	}
	s.KernelOK = true
	for _, p := range description.Places {
		s.Kernel = append(s.Kernel, placeOf(p))
	}
}

// computed returns the state that a proxy of this node would have now.
func (c *Collector) computed(s *explain.Snapshot, nodes []*v1.Node) *explain.NodeState {
	name, err := c.NodeName()
	if err != nil {
		return nil
	}
	state := explain.NodeState{Node: routing.Node{Name: name}, Mode: explain.ModeKernel}
	for _, n := range nodes {
		if n.Name == name {
			state.Node, _ = proxy.NodeOf(n, proxy.NodePorts{})
		}
	}
	state.Frontends = routing.Frontends(state.Node, s.Service, s.Slices)
	return &state
}

func placeOf(p nft.Place) explain.Place {
	place := explain.Place{Dest: p.Dest, Inside: distinctSlots(p.Inside), Broken: p.Inside.Holes > 0}
	place.Outside = place.Inside
	if p.Outside != nil {
		place.Outside = distinctSlots(*p.Outside)
		place.Broken = place.Broken || p.Outside.Holes > 0
	}
	return place
}

func distinctSlots(w nft.Way) []netip.AddrPort {
	slots := slices.SortedFunc(slices.Values(w.Slots), netip.AddrPort.Compare)
	return slices.Compact(slots)
}
