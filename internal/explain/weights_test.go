package explain

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/annotations"
)

// A weight that the slice does not carry is a problem, as on a cluster whose slices another controller writes.
func TestWeightsThatTheSliceDoesNotCarry(t *testing.T) {
	weight := func(value string) func(*v1.Pod) {
		return func(p *v1.Pod) { p.Annotations = map[string]string{annotations.Weight: value} }
	}
	s := newScene()
	s.pod("a", "10.0.0.1", weight("5"))
	s.pod("b", "10.0.0.2", weight("0"))
	s.controlled()
	r := s.report()
	if len(r.Problems) != 0 || !strings.Contains(strings.Join(r.Notes, "\n"), "Pod b has the weight 0") {
		t.Errorf("as it should be: %v, %v", r.Problems, r.Notes)
	}
	s.Slices[0].Annotations = nil
	r = s.report()
	if len(r.Problems) != 3 || !strings.HasPrefix(r.Problems[1].Sentence,
		"Pod a has the weight 5, and its EndpointSlice gives "+
			"10.0.0.1 the weight 1.") {
		t.Errorf("without the annotation: %v", r.Problems)
	}
}
