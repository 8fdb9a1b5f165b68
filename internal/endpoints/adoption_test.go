package endpoints_test

import (
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/membership"
)

// TestAdoption lets upstream's library fill a namespace with slices, and a controller take them over: it has nothing to
// write. Then changes come, and the library takes over again: neither has it.
func TestAdoption(t *testing.T) {
	c := newCampaign(t, seedOf(t))
	live := slices.Concat(podOperations(), serviceOperations(), nodeOperations())
	for number := range 500 {
		c.author.stepOf(number, live)
	}
	c.fillAsUpstream()
	c.start()
	c.through()
	if writes := c.faults.written(c.leader.name); len(writes) != 2 {
		t.Fatalf("taking over took %d writes, want those of the Endpoints and the slice of the last Service:\n%s",
			len(writes), strings.Join(writes, "\n"))
	}
	for number := range 200 {
		c.author.stepOf(500+number, live)
	}
	if wrong := c.settle(quietLimit); len(wrong) > 0 {
		t.Fatalf("after the take-over:\n%s", strings.Join(wrong, "\n"))
	}
	c.stop()
	before := c.read()
	for _, svc := range before.selecting() {
		if membership.Proportional(svc) { // the library writes the slices of such a Service again, even with what they say
			continue
		}
		s, svc := before.settled(svc, missingNodes())
		if err := upstream(c.client, s, svc); err != nil {
			t.Errorf("handing %s back: %v", svc.Name, err)
		}
	}
	after := c.read()
	if changed := unlike("slices", versionsOf(after), versionsOf(before)); len(changed) > 0 {
		t.Errorf("handing back took writes:\n%s", strings.Join(changed, "\n"))
	}
}

func versionsOf(s stored) []string {
	var versions []string
	for i := range s.slices {
		versions = append(versions, s.slices[i].Name+" "+s.slices[i].ResourceVersion)
	}
	return versions
}

// fillAsUpstream leaves what kube-controller-manager would leave: slices by its library, and Endpoints that say the
// same as ours, but are spelled another way, for the order in which it spells them is that of a hash.
func (c *campaign) fillAsUpstream() {
	c.t.Helper()
	s := c.read()
	for _, svc := range s.selecting() {
		agreed, svc := s.settled(svc, missingNodes())
		if err := upstream(c.client, agreed, svc); err != nil {
			c.t.Fatalf("filling in the slices of %s: %v", keyOf(svc), err)
		}
		subsets, _ := membership.Subsets(svc, s.members(svc, nil))
		ep := &v1.Endpoints{
			ObjectMeta: metav1.ObjectMeta{
				Name: svc.Name, Labels: membership.EndpointsLabels(svc),
				Annotations: map[string]string{v1.EndpointsLastChangeTriggerTime: "2024-01-01T00:00:00Z"},
			},
			Subsets: torn(subsets),
		}
		if _, err := c.client.CoreV1().Endpoints(svc.Namespace).Create(c.t.Context(), ep,
			metav1.CreateOptions{}); err != nil {
			c.t.Fatalf("filling in the Endpoints of %s: %v", keyOf(svc), err)
		}
	}
}

// torn spells subsets in the longest way: one for each address and port, backwards.
func torn(subsets []v1.EndpointSubset) []v1.EndpointSubset {
	var out []v1.EndpointSubset
	for _, s := range subsets {
		ports := [][]v1.EndpointPort{nil}
		if len(s.Ports) > 0 {
			ports = slices.Collect(slices.Chunk(s.Ports, 1))
		}
		for _, port := range ports {
			for _, a := range s.Addresses {
				out = append(out, v1.EndpointSubset{Addresses: []v1.EndpointAddress{a}, Ports: port})
			}
			for _, a := range s.NotReadyAddresses {
				out = append(out, v1.EndpointSubset{NotReadyAddresses: []v1.EndpointAddress{a}, Ports: port})
			}
		}
	}
	slices.Reverse(out)
	return out
}
