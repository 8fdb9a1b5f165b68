package membership

import (
	"fmt"

	discovery "k8s.io/api/discovery/v1"
)

// A Delta counts the changes that a Plan makes to the endpoints of a Service. An endpoint that only moves from one
// slice to another is not counted.
type Delta struct{ Added, Updated, Removed int }

// place identifies an endpoint by its address and its ports.
type place struct{ address, ports string }

// Delta compares the slices that p writes with their state in have.
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

// FewestSlices returns the number of slices that the endpoints in have would need if every slice were full. Endpoints
// of one address family and with the same ports share slices.
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
