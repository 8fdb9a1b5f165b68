package explain

import (
	"fmt"
	"net/netip"

	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/annotations"
	"viaduct/internal/membership"
	"viaduct/internal/routing"
)

// weights reports the Pods with weight 0, and the Pods whose weight differs from the weight in the slices.
func (r *Report) weights(w *Snapshot) {
	if !membership.HasSelector(w.Service) {
		return
	}
	for _, m := range membership.OfPods(w.Service, w.Pods, nil) {
		if !m.Weighted {
			continue
		}
		have, listed := weightIn(w.Slices, m.Addr)
		switch {
		case !listed: // another sentence reports this
		case have == m.Weight && have == 0:
			r.note(fmt.Sprintf("Pod %s has the weight 0: it gets no new connections and keeps those it has", m.Target.Name))
		case have != m.Weight:
			r.problem(StageSlices, fmt.Sprintf("Pod %s has the weight %d, and its EndpointSlice gives %s the weight %d. "+
				"Only the controller of Viaduct writes the weights of Pods into EndpointSlices.", m.Target.Name, m.Weight, m.Addr,
				have))
		}
	}
}

// weightIn returns the weight of an address in the slices; false if no slice has the address.
func weightIn(all []*discovery.EndpointSlice, addr netip.Addr) (uint32, bool) {
	for _, s := range routing.Effective(all) {
		for i := range s.Endpoints {
			if len(s.Endpoints[i].Addresses) > 0 && s.Endpoints[i].Addresses[0] == addr.String() {
				weights, _ := annotations.SliceWeights(s)
				return weights.Of(addr), true
			}
		}
	}
	return 0, false
}
