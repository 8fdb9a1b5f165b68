package membership

import (
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

func addresses(format string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(format, i/200, i%200+1))
	}
	return out
}

func TestSkippedCountsOnlyWhatIsNotMirrored(t *testing.T) {
	twoPorts := byHand(80, []string{"10.0.0.1", "db.example.com"})
	twoPorts.Ports = append(twoPorts.Ports, v1.EndpointPort{Name: "b", Port: 81})
	tests := []struct {
		name string
		in   []v1.EndpointSubset
		want int
	}{
		{"nothing", nil, 0},
		{"all of it", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1"}, "10.0.0.2")}, 0},
		{"one address twice", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1", "10.0.0.1"})}, 0},
		{"one address in two spellings", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1", "::ffff:10.0.0.1"})}, 0},
		{"ready in one subset, not in another", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1"}),
			byHand(80, nil, "10.0.0.1")}, 0},
		{"no address", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1", "db.example.com"})}, 1},
		{"no address, on two ports", []v1.EndpointSubset{twoPorts}, 1},
		{"no address and one twice", []v1.EndpointSubset{byHand(80, []string{"10.0.0.1", "10.0.0.1", "db.example.com"})}, 1},
		{"leading zeros", []v1.EndpointSubset{byHand(80, []string{"010.0.0.1"})}, 1},
		{"just fits", []v1.EndpointSubset{byHand(80, addresses("10.1.%d.%d", MaxMirrored))}, 0},
		{"one too many", []v1.EndpointSubset{byHand(80, addresses("10.1.%d.%d", MaxMirrored+1))}, 1},
		{"families share the limit", []v1.EndpointSubset{byHand(80, append(addresses("10.1.%d.%d", 700),
			addresses("fd00::%d:%d", 700)...))}, 400},
		{"subsets do not", []v1.EndpointSubset{byHand(80, addresses("10.1.%d.%d", 700)),
			byHand(81, addresses("10.2.%d.%d", 700))}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, got := (&cluster{}).mirror(t, handWritten(tt.in...)); got != tt.want {
				t.Errorf("%d skipped, want %d", got, tt.want)
			}
		})
	}
}

// TestMirrorChangesPortsAndAnnotationsAtOnce has one slice become another: nothing of what it was may stay.
func TestMirrorChangesPortsAndAnnotationsAtOnce(t *testing.T) {
	var c cluster
	ep := handWritten(byHand(80, []string{"10.0.0.1"}))
	ep.Labels, ep.Annotations = map[string]string{"a": "1"}, map[string]string{"note": "1", "gone": "x"}
	c.mirror(t, ep)
	was := c.slices[0]
	ep.Subsets = []v1.EndpointSubset{byHand(81, []string{"10.0.0.1"})}
	ep.Labels, ep.Annotations = map[string]string{"b": "2"}, map[string]string{"note": "2"}
	c.mirror(t, ep) // says so if there is more to write afterwards
	s := c.slices[0]
	if s.Name != was.Name || s.UID != was.UID || fmt.Sprint(s.Annotations) != "map[note:2]" || s.Labels["a"] != "" ||
		s.Labels["b"] != "2" {
		t.Errorf("slice %s, annotations %v, labels %v", s.Name, s.Annotations, s.Labels)
	}
	ep.Annotations, ep.Subsets = nil, []v1.EndpointSubset{byHand(82, []string{"10.0.0.1"})}
	c.mirror(t, ep)
	if len(c.slices[0].Annotations) != 0 {
		t.Errorf("annotations %v were taken away", c.slices[0].Annotations)
	}
}

func TestMirrorKeepsOneSliceOfAGroup(t *testing.T) {
	var c cluster
	ep := handWritten(byHand(80, []string{"10.0.0.1"}))
	c.mirror(t, ep)
	twin := c.slices[0].DeepCopy()
	twin.Name = c.slices[0].Name + "-twin"
	c.slices = append([]*discovery.EndpointSlice{twin}, c.slices...)
	kept := c.slices[1].Name
	if n, _ := c.mirror(t, ep); n != 1 || len(c.slices) != 1 || c.slices[0].Name != kept {
		t.Errorf("%d writes, %d slices; want one delete, %s kept", n, len(c.slices), kept)
	}
	ending := c.slices[0].DeepCopy()
	ending.DeletionTimestamp = pod("x", "10.0.0.9", deleted).DeletionTimestamp
	if plan, _ := PlanMirror(ep, []*discovery.EndpointSlice{ending}, nil); len(plan.Create) != 1 ||
		len(plan.Update)+len(plan.Delete) != 0 {
		t.Errorf("with a slice that is ending: %+v, want one create", plan)
	}
}

func TestMirrorCopiesWhatWasWrittenOfAnAddress(t *testing.T) {
	node := "node-7"
	ep := handWritten(v1.EndpointSubset{
		Addresses: []v1.EndpointAddress{{
			IP: "10.0.0.1", Hostname: "db-0", NodeName: &node,
			TargetRef: &v1.ObjectReference{Kind: "VM", Namespace: "ns", Name: "vm", UID: "u", ResourceVersion: "7"},
		}},
		Ports: []v1.EndpointPort{{Name: "pg", Port: 5432, AppProtocol: &node}},
	})
	var c cluster
	c.mirror(t, ep)
	s := c.slices[0]
	e := s.Endpoints[0]
	if *e.Hostname != "db-0" || *e.NodeName != node || e.TargetRef.Kind != "VM" || e.TargetRef.Name != "vm" ||
		e.Zone != nil || e.Hints != nil {
		t.Errorf("endpoint %+v", e)
	}
	if p := s.Ports[0]; *p.Name != "pg" || *p.Port != 5432 || *p.Protocol != v1.ProtocolTCP || *p.AppProtocol != node {
		t.Errorf("port %+v", p)
	}
	if o := s.OwnerReferences[0]; o.APIVersion != "v1" || o.Controller == nil || !*o.Controller ||
		o.BlockOwnerDeletion == nil || !*o.BlockOwnerDeletion {
		t.Errorf("owner %+v", o)
	}
	ep.Subsets[0].Addresses[0].TargetRef.ResourceVersion = "8"
	if n, _ := c.mirror(t, ep); n != 0 {
		t.Errorf("%d writes for another version of the target", n)
	}
}
