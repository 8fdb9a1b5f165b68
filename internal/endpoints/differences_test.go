package endpoints_test

import (
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/membership"
)

// TestDocumentedDifferences shows each difference from the library of Kubernetes in a store in which all is right: the
// library disputes it, and no longer does once the difference is settled. So a row that has become untrue, or that
// settles more than it says, is found.
func TestDocumentedDifferences(t *testing.T) {
	examples := map[string]func(*stored){
		missingNodes().name: func(s *stored) {
			onNodes(s)
			s.nodes = s.nodes[:1]
		},
		proportionalHints().name: func(s *stored) {
			onNodes(s)
			s.services[0].Annotations = map[string]string{v1.AnnotationTopologyMode: "Auto"}
		},
	}
	for _, row := range documentedDifferences() {
		t.Run(row.name, func(t *testing.T) {
			s, _, _ := rightWorld()
			examples[row.name](&s)
			web := &s.services[0]
			s.slices = []discovery.EndpointSlice{*membership.PlanSlices(web, s.members(web, nil), nil).Create[0]}
			s.slices[0].Name = "web-1"
			swapHints(&s.slices[0])
			if kept := s.slicesOf(keyOf(web), ours); !membership.PlanSlices(web, s.members(web, kept), kept).Empty() {
				t.Fatal("the example is not right itself")
			}
			if len(disputed(t.Context(), s)) == 0 {
				t.Error("the library disputes nothing: there is no such difference")
			}
			if wrong := disputed(t.Context(), s, row); len(wrong) > 0 {
				t.Errorf("with the difference settled, the library still disputes %q", wrong)
			}
		})
	}
}

// onNodes puts the Pods onto two nodes, in a zone each.
func onNodes(s *stored) {
	for i, zone := range []string{"x", "y"} {
		node := v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + zone,
			Labels: map[string]string{v1.LabelTopologyZone: zone}}}
		node.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}}
		node.Status.Allocatable = v1.ResourceList{v1.ResourceCPU: resource.MustParse("4")}
		s.nodes = append(s.nodes, node)
		s.pods[i].Spec.NodeName = node.Name
	}
}

// swapHints hints the endpoints of two zones to one another's, which leaves each zone what it is to get.
func swapHints(s *discovery.EndpointSlice) {
	if slices.ContainsFunc(s.Endpoints, func(e discovery.Endpoint) bool { return e.Hints == nil }) {
		return
	}
	s.Endpoints[0].Hints, s.Endpoints[1].Hints = s.Endpoints[1].Hints, s.Endpoints[0].Hints
}
