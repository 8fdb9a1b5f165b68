package membership

import (
	"fmt"

	discovery "k8s.io/api/discovery/v1"
)

// A Delta is what a Plan does to the endpoints of a Service. One that only goes from one slice to another counts as
// none of them.
type Delta struct{ Added, Updated, Removed int }

// place is where an endpoint stands: an address, and the ports at it.
type place struct{ address, ports string }

// Delta compares the slices that p writes with what they are in have.
func (p Plan) Delta(have []*discovery.EndpointSlice) (d Delta) {
	touched := map[string]bool{}
	after := map[place]*discovery.Endpoint{}
	for _, s := range p.Create {
		listPlaces(after, s)
	}
	for _, s := range p.Update {
		touched[s.Name] = true
		listPlaces(after, s)
	}
	for _, s := range p.Delete {
		touched[s.Name] = true
	}
	before := map[place]*discovery.Endpoint{}
	for _, s := range have {
		if touched[s.Name] {
			listPlaces(before, s)
		}
	}
	for at, was := range before {
		switch is, stays := after[at]; {
		case !stays:
			d.Removed++
		case !sameEndpoint(was, is):
			d.Updated++
		}
	}
	for at := range after {
		if before[at] == nil {
			d.Added++
		}
	}
	return d
}

func listPlaces(into map[place]*discovery.Endpoint, s *discovery.EndpointSlice) {
	ports := fmt.Sprint(portsOfSlice(s))
	for i := range s.Endpoints {
		if e := &s.Endpoints[i]; len(e.Addresses) > 0 {
			into[place{e.Addresses[0], ports}] = e
		}
	}
}

// FewestSlices is how many slices would do for the endpoints in have, were each filled: those of one family and of the
// same ports share one.
func FewestSlices(have []*discovery.EndpointSlice) (n int) {
	type group struct {
		family discovery.AddressType
		ports  string
	}
	groups := map[group]int{}
	for _, s := range have {
		groups[group{s.AddressType, fmt.Sprint(portsOfSlice(s))}] += len(s.Endpoints)
	}
	for _, endpoints := range groups {
		n += (endpoints + MaxEndpointsPerSlice - 1) / MaxEndpointsPerSlice
	}
	return n
}
