package membership

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

func TestSameSubsets(t *testing.T) {
	spelled := func(change func(*v1.EndpointSubset)) []v1.EndpointSubset {
		s := v1.EndpointSubset{
			Addresses: []v1.EndpointAddress{
				{IP: "10.0.0.1", Hostname: "a", NodeName: ptr.To("n"), TargetRef: &v1.ObjectReference{Kind: "Pod", Name: "p",
					UID: "1", ResourceVersion: "7"}},
				{IP: "10.0.0.2"},
			},
			NotReadyAddresses: []v1.EndpointAddress{{IP: "10.0.0.3"}},
			Ports:             []v1.EndpointPort{{Name: "a", Port: 80, Protocol: v1.ProtocolTCP, AppProtocol: ptr.To("http")}},
		}
		if change != nil {
			change(&s)
		}
		return []v1.EndpointSubset{s}
	}
	for name, c := range map[string]struct {
		change func(*v1.EndpointSubset)
		same   bool
	}{
		"nothing": {nil, true},
		"the order of addresses": {func(s *v1.EndpointSubset) {
			s.Addresses[0], s.Addresses[1] = s.Addresses[1],
				s.Addresses[0]
		}, true},
		"a target's resourceVersion": {func(s *v1.EndpointSubset) { s.Addresses[0].TargetRef.ResourceVersion = "8" }, true},
		"an address twice": {func(s *v1.EndpointSubset) { s.Addresses = append(s.Addresses, s.Addresses[0]) },
			false},
		"one address less": {func(s *v1.EndpointSubset) { s.Addresses = s.Addresses[:1] }, false},
		"another address":  {func(s *v1.EndpointSubset) { s.Addresses[1].IP = "10.0.0.9" }, false},
		"a ready one that is not": {func(s *v1.EndpointSubset) {
			s.Addresses[1], s.NotReadyAddresses[0] = s.NotReadyAddresses[0], s.Addresses[1]
		}, false},
		"another hostname":              {func(s *v1.EndpointSubset) { s.Addresses[0].Hostname = "b" }, false},
		"another node":                  {func(s *v1.EndpointSubset) { s.Addresses[0].NodeName = ptr.To("m") }, false},
		"no node":                       {func(s *v1.EndpointSubset) { s.Addresses[0].NodeName = nil }, false},
		"another target":                {func(s *v1.EndpointSubset) { s.Addresses[0].TargetRef.Name = "q" }, false},
		"a Pod of the same name":        {func(s *v1.EndpointSubset) { s.Addresses[0].TargetRef.UID = "2" }, false},
		"no target":                     {func(s *v1.EndpointSubset) { s.Addresses[0].TargetRef = nil }, false},
		"another port number":           {func(s *v1.EndpointSubset) { s.Ports[0].Port = 81 }, false},
		"another port name":             {func(s *v1.EndpointSubset) { s.Ports[0].Name = "b" }, false},
		"another protocol":              {func(s *v1.EndpointSubset) { s.Ports[0].Protocol = v1.ProtocolUDP }, false},
		"another application protocol":  {func(s *v1.EndpointSubset) { s.Ports[0].AppProtocol = ptr.To("h2c") }, false},
		"an equal application protocol": {func(s *v1.EndpointSubset) { s.Ports[0].AppProtocol = ptr.To("http") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			want := Canonical(spelled(nil))
			if got := SameSubsets(spelled(c.change), want); got != c.same {
				t.Errorf("the same: %v, want %v", got, c.same)
			}
		})
	}
}

// The same, spelled in two subsets: upstream groups otherwise, and takes what it finds over without a write.
func TestSameSubsetsGroupedOtherwise(t *testing.T) {
	port := []v1.EndpointPort{{Port: 80, Protocol: v1.ProtocolTCP}}
	apart := []v1.EndpointSubset{
		{Addresses: []v1.EndpointAddress{{IP: "10.0.0.1"}}, Ports: port},
		{Addresses: []v1.EndpointAddress{{IP: "10.0.0.2"}}, Ports: port},
	}
	if !SameSubsets(apart, Canonical(apart)) {
		t.Error("two spellings of the same are told apart")
	}
}
