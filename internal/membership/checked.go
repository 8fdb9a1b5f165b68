package membership

import (
	"net/netip"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

// Health is what a check found of an address.
type Health uint8

// What a check may have found. The zero Health is of an address that is not checked.
const (
	Unchecked Health = iota
	Up
	Down
)

// A Standing is what becomes of an address that is checked.
type Standing struct {
	Ready   bool // it gets connections
	Serving bool // it answers
	Why     Reason
}

// Stand says what becomes of every address that is checked and that its author wants to have connections. If all of a
// family that are wanted are down, all of them get connections (see AllDown), or, with refuse, none. allDown are the
// families of which that is so.
func Stand(found map[netip.Addr]Health, refuse bool) (stand map[netip.Addr]Standing, allDown []v1.IPFamily) {
	stand = make(map[netip.Addr]Standing, len(found))
	for _, family := range []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol} {
		any, alive := false, false
		for addr, h := range found {
			if familyOf(addr) == family {
				any, alive = true, alive || h != Down
			}
		}
		if any && !alive {
			allDown = append(allDown, family)
		}
		for addr, h := range found {
			switch {
			case familyOf(addr) != family || h == Unchecked:
			case h == Up:
				stand[addr] = Standing{true, true, CheckPassed}
			case alive || refuse:
				stand[addr] = Standing{false, false, CheckFailed}
			default:
				stand[addr] = Standing{true, false, AllDown}
			}
		}
	}
	return stand, allDown
}

// Judged gives m the standing of its address, if it has one and is wanted to have connections.
func Judged(m Member, stand map[netip.Addr]Standing) (Member, bool) {
	s, ok := stand[m.Addr]
	if !ok || !m.Ready {
		return m, false
	}
	m.Ready, m.Serving, m.Why = s.Ready, s.Serving, s.Why
	return m, true
}

// Checked are members with the standing of their addresses.
func Checked(members []Member, stand map[netip.Addr]Standing) []Member {
	out := make([]Member, len(members))
	for i, m := range members {
		out[i], _ = Judged(m, stand)
	}
	return out
}

// KnownStates are the addresses that s says something of, and whether they answered when it was written: so a process
// that begins to check goes on where another ended.
func KnownStates(s *discovery.EndpointSlice) map[netip.Addr]bool {
	states := map[netip.Addr]bool{}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		if e.Conditions.Serving == nil || len(e.Addresses) == 0 {
			continue
		}
		if addr, err := netip.ParseAddr(e.Addresses[0]); err == nil {
			states[addr] = *e.Conditions.Serving
		}
	}
	return states
}
