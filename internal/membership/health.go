package membership

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/annotations"
)

// Health is the result of the health checks of an address.
type Health uint8

// The values of Health. The zero value means that the address is not checked, or has no result yet.
const (
	Unchecked Health = iota
	Up
	Down
)

// A HealthTarget is one address and port with its check. The Port field of the Check is not used here.
type HealthTarget struct {
	Addr  netip.AddrPort
	Check annotations.Check
}

// A Finding is the result of the health checks of one address.
type Finding struct {
	State Health
	Since time.Time // when the State began; zero: not known
	Cause string    // why the address is Down, in the words of the check; "": not known
}

// A HealthVerdict is the decision about an address that is checked.
type HealthVerdict struct {
	Ready   bool // the address gets connections
	Serving bool // the address answers its check
	Why     Reason
}

// EvaluateHealth returns the verdict on every address that is checked. found has every address that its author wants to
// be used, Unchecked ones included. If all addresses of a family are Down, all of them get connections (see AllDown);
// with refuse, none of them does. allDown lists these families.
func EvaluateHealth(found map[netip.Addr]Finding, refuse bool) (verdicts map[netip.Addr]HealthVerdict,
	allDown []v1.IPFamily) {
	verdicts = make(map[netip.Addr]HealthVerdict, len(found))
	for _, family := range []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol} {
		any, alive := false, false
		for addr, f := range found {
			if familyOf(addr) == family {
				any, alive = true, alive || f.State != Down
			}
		}
		if any && !alive {
			allDown = append(allDown, family)
		}
		for addr, f := range found {
			switch {
			case familyOf(addr) != family || f.State == Unchecked:
			case f.State == Up:
				verdicts[addr] = HealthVerdict{true, true, CheckPassed}
			case alive || refuse:
				verdicts[addr] = HealthVerdict{false, false, CheckFailed}
			default:
				verdicts[addr] = HealthVerdict{true, false, AllDown}
			}
		}
	}
	return verdicts, allDown
}

// WithHealth applies the verdict on m's address to m, if there is a verdict and m's author wants the address to be
// used.
func WithHealth(m Member, verdicts map[netip.Addr]HealthVerdict) (Member, bool) {
	v, ok := verdicts[m.Addr]
	if !ok || !m.Ready {
		return m, false
	}
	m.Ready, m.Serving, m.Why = v.Ready, v.Serving, v.Why
	return m, true
}

// StoredFindings returns the health that is stored in the slices made by Viaduct. A process starts its checks with
// these findings; a process that checks nothing has no other findings. Slices of Pods and slices that people wrote
// store no health.
func StoredFindings(have []*discovery.EndpointSlice) map[netip.Addr]Finding {
	found := map[netip.Addr]Finding{}
	for _, s := range have {
		if s.Labels[discovery.LabelManagedBy] == SliceManagedBy || WrittenByHand(s) {
			continue
		}
		notes := readHealthStatus(s)
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			if e.Conditions.Serving == nil || len(e.Addresses) == 0 {
				continue
			}
			addr, err := netip.ParseAddr(e.Addresses[0])
			if err != nil {
				continue
			}
			f := Finding{State: Up}
			if !*e.Conditions.Serving {
				f = Finding{State: Down, Since: notes[addr].Since, Cause: notes[addr].Cause}
			}
			found[addr] = f
		}
	}
	return found
}

// The bounds of the annotation HealthStatus: the number of addresses for one slice, and the length of each cause in
// bytes.
const (
	maxStatuses   = 100
	maxCauseBytes = 128
)

// healthStatus is the value for one address in the annotation HealthStatus.
type healthStatus struct {
	State string    `json:"state"` // always "down"
	Since time.Time `json:"since,omitzero"`
	Cause string    `json:"cause,omitempty"`
}

// writeHealthStatus writes the findings of the addresses of s that are Down into its annotation HealthStatus. The
// annotation alone is never a reason to write a slice: it is written when the conditions of the endpoints change.
func writeHealthStatus(s *discovery.EndpointSlice, found map[netip.Addr]Finding) {
	statuses := map[netip.Addr]healthStatus{}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		if len(e.Addresses) == 0 || e.Conditions.Serving == nil || *e.Conditions.Serving {
			continue
		}
		addr, err := netip.ParseAddr(e.Addresses[0])
		if f := found[addr]; err == nil && f.State == Down && len(statuses) < maxStatuses {
			statuses[addr] = healthStatus{"down", f.Since.UTC().Truncate(time.Second), shorten(f.Cause)}
		}
	}
	delete(s.Annotations, annotations.HealthStatus)
	if len(statuses) == 0 {
		return
	}
	data, err := json.Marshal(statuses)
	if err != nil {
		return // a time with a year after 9999
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[annotations.HealthStatus] = string(data)
}

// shorten cuts a cause to maxCauseBytes, at the end of a rune.
func shorten(cause string) string {
	if len(cause) <= maxCauseBytes {
		return cause
	}
	cut := maxCauseBytes - len("…")
	for !utf8.RuneStart(cause[cut]) {
		cut--
	}
	return cause[:cut] + "…"
}

// readHealthStatus reads the annotation HealthStatus. An annotation that cannot be parsed counts as none.
func readHealthStatus(s *discovery.EndpointSlice) map[netip.Addr]healthStatus {
	var notes map[netip.Addr]healthStatus
	if err := json.Unmarshal([]byte(s.Annotations[annotations.HealthStatus]), &notes); err != nil {
		return nil
	}
	return notes
}

// StoredReason returns the Reason that the conditions of a stored endpoint mean. It is less exact than a Decision: it
// cannot tell an address that follows its Pod from an address that is used as written.
func StoredReason(s *discovery.EndpointSlice, e *discovery.Endpoint) Reason {
	c := e.Conditions
	is := func(condition *bool) bool { return condition != nil && *condition }
	if s.Labels[discovery.LabelManagedBy] == SliceManagedBy {
		switch {
		case is(c.Ready) && is(c.Serving):
			return Ready
		case is(c.Ready):
			return PublishedNotReady
		case is(c.Terminating):
			return Terminating
		}
		return NotReady
	}
	switch {
	case c.Serving != nil && !*c.Serving && IsReady(e):
		return AllDown
	case c.Serving != nil && !*c.Serving:
		return CheckFailed
	case s.Labels[discovery.LabelManagedBy] == NamesManagedBy:
		return ByName
	case c.Serving != nil:
		return CheckPassed
	case !IsReady(e):
		return ByHandNotReady
	}
	return ByHand
}

// IsReady says whether an endpoint gets connections. A condition that is not set means true (EndpointConditions of
// discovery.k8s.io/v1).
func IsReady(e *discovery.Endpoint) bool { return e.Conditions.Ready == nil || *e.Conditions.Ready }

// targetsOf returns the targets of one address: the port that the check names, or every port with the protocol of the
// check. They are sorted by port.
func targetsOf(m Member, check *annotations.Check) (targets []HealthTarget) {
	same := *check
	same.Port = 0 // so that equal checks compare equal
	if check.Port != 0 {
		return []HealthTarget{{netip.AddrPortFrom(m.Addr, check.Port), same}}
	}
	speaks := v1.ProtocolTCP
	if check.Kind == annotations.DNS {
		speaks = v1.ProtocolUDP
	}
	for _, p := range m.Ports {
		if p.Protocol == speaks {
			targets = append(targets, HealthTarget{netip.AddrPortFrom(m.Addr, uint16(p.Number)), same})
		}
	}
	slices.SortFunc(targets, func(a, b HealthTarget) int { return cmp.Compare(a.Addr.Port(), b.Addr.Port()) })
	return targets
}
