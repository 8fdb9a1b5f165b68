package explain

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/annotations"
	"viaduct/internal/membership"
)

// The cause of a failed check is that of the address itself, whether the checker or the slices say it.
func TestCauseOfEachAddress(t *testing.T) {
	want := map[string]string{"10.9.0.1": "connection refused", "10.9.0.10": "no answer in time",
		"fd00::1": "no route to host"}
	s := handScene("10.9.0.1", "10.9.0.10", "fd00::1", "10.9.0.2", "fd00::2")
	s.Service.Spec.IPFamilies = []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol}
	s.Service.Annotations = map[string]string{annotations.HealthCheck: "tcp"}
	since := time.Unix(1800, 0).UTC()
	s.Lookups.Finding = func(target membership.HealthTarget) (membership.Finding, bool) {
		if cause, down := want[target.Addr.Addr().String()]; down {
			return membership.Finding{State: membership.Down, Since: since, Cause: cause}, true
		}
		return membership.Finding{State: membership.Up, Since: since}, true
	}
	check := func(from string) {
		t.Helper()
		down := 0
		for _, a := range s.report().Addresses {
			if a.Reason != string(membership.CheckFailed) {
				continue
			}
			down++
			if a.Cause != want[a.Address] || a.Since == nil || !a.Since.Equal(since) {
				t.Errorf("%s: %s is down since %v: %s", from, a.Address, a.Since, a.Cause)
			}
		}
		if down != len(want) {
			t.Errorf("%s: %d addresses are down, want %d", from, down, len(want))
		}
	}
	check("the checker")
	ep := s.Endpoints
	s.controlled()
	s.Endpoints = ep
	s.Lookups.Finding = nil // what an API server gives
	check("the slices")
	if r := s.report(); len(r.Problems) > 0 {
		t.Errorf("the slices are as they should be: %+v", r.Problems)
	}
}
