package history

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	discovery "k8s.io/api/discovery/v1"
)

// entry is one address of a slice.
type entry struct {
	state    string
	endpoint *discovery.Endpoint
}

// entries are the addresses of s, by their spelling with the ports.
func entries(s *discovery.EndpointSlice) map[string]entry {
	all := map[string]entry{}
	if s == nil {
		return all
	}
	var ports []string
	for _, p := range s.Ports {
		if p.Port != nil {
			ports = append(ports, strconv.Itoa(int(*p.Port)))
		}
	}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		if len(e.Addresses) == 0 {
			continue
		}
		key := e.Addresses[0]
		if strings.Contains(key, ":") {
			key = "[" + key + "]"
		}
		if len(ports) > 0 {
			key = fmt.Sprintf("%s:%s", key, strings.Join(ports, ","))
		}
		all[key] = entry{stateOf(e), e}
	}
	return all
}

// stateOf reads the conditions of an endpoint; what is not said means what the API says.
func stateOf(e *discovery.Endpoint) string {
	switch {
	case e.Conditions.Ready == nil || *e.Conditions.Ready:
		return Ready
	case e.Conditions.Terminating != nil && *e.Conditions.Terminating:
		return Ending
	}
	return NotReady
}

// best is the state of an address that is in several slices; "" if it is in none.
func best(in map[string]string) string {
	for _, state := range []string{Ready, Ending, NotReady} {
		for _, s := range in {
			if s == state {
				return s
			}
		}
	}
	return ""
}

func serviceOf(s *discovery.EndpointSlice) string {
	if s == nil || s.Labels[discovery.LabelServiceName] == "" {
		return ""
	}
	return s.Namespace + "/" + s.Labels[discovery.LabelServiceName]
}

func sameOwner(a, b *discovery.EndpointSlice) bool { return serviceOf(a) == serviceOf(b) }

// written is the write by which before became after.
func written(before, after *discovery.EndpointSlice) (object, version, writer string) {
	s := after
	if s == nil {
		s = before
	}
	object, version = "endpointslice/"+s.Name, s.ResourceVersion
	if after == nil {
		return object + " (deleted)", "", ""
	}
	var at int64
	for _, f := range s.ManagedFields {
		if f.Time != nil && f.Time.UnixNano() >= at {
			at, writer = f.Time.UnixNano(), f.Manager
		}
	}
	return object, version, writer
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
