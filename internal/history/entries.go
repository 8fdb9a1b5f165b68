package history

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/membership"
)

// entry is one address in a slice.
type entry struct {
	state    string
	endpoint *discovery.Endpoint
}

// entries returns the addresses of s. The key is the address with its ports.
func entries(s *discovery.EndpointSlice) map[string]entry {
	if s == nil {
		return nil
	}
	var ports []byte
	for _, p := range s.Ports {
		if p.Port != nil {
			ports = append(ports, ':')
			if len(ports) > 1 {
				ports[len(ports)-1] = ','
			}
			ports = strconv.AppendInt(ports, int64(*p.Port), 10)
		}
	}
	all := make(map[string]entry, len(s.Endpoints))
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		if len(e.Addresses) == 0 {
			continue
		}
		key := e.Addresses[0]
		if strings.Contains(key, ":") {
			key = "[" + key + "]"
		}
		all[key+string(ports)] = entry{stateOf(e), e}
	}
	return all
}

// held is the state of one address in the slices that list it, which is nearly always one slice.
type held struct {
	slice, state string
	more         map[string]string // slice → state, for further slices
}

func (h held) with(slice, state string) held {
	if h.state == "" {
		return held{slice: slice, state: state}
	}
	more := maps.Clone(h.more)
	if more == nil {
		more = map[string]string{}
	}
	more[slice] = state
	h.more = more
	return h
}

func (h held) without(slice string) held {
	if h.slice != slice {
		if _, there := h.more[slice]; there {
			h.more = maps.Clone(h.more)
			delete(h.more, slice)
		}
		return h
	}
	next := held{}
	for s, state := range h.more {
		next = next.with(s, state)
	}
	return next
}

// best returns the best state of an address in all its slices; "" if it is in none.
func (h held) best() string {
	for _, state := range []string{Ready, Used, Ending, NotReady} {
		if h.state == state {
			return state
		}
		for _, s := range h.more {
			if s == state {
				return state
			}
		}
	}
	return ""
}

// stateOf returns the state that the conditions of an endpoint mean. A condition that is not set has the default of the
// API.
func stateOf(e *discovery.Endpoint) string {
	switch ready := membership.IsReady(e); {
	case ready && e.Conditions.Serving != nil && !*e.Conditions.Serving:
		return Used
	case ready:
		return Ready
	case e.Conditions.Terminating != nil && *e.Conditions.Terminating:
		return Ending
	}
	return NotReady
}

func serviceOf(s *discovery.EndpointSlice) string {
	if s == nil || s.Labels[discovery.LabelServiceName] == "" {
		return ""
	}
	return s.Namespace + "/" + s.Labels[discovery.LabelServiceName]
}

func sameOwner(a, b *discovery.EndpointSlice) bool { return serviceOf(a) == serviceOf(b) }

// written describes the write that changed before to after.
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
