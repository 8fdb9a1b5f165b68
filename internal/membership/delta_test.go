package membership

import (
	"fmt"
	"testing"

	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func sliceOf(name string, port int32, ready bool, from, to int) *discovery.EndpointSlice {
	s := &discovery.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: name}, AddressType: discovery.AddressTypeIPv4,
		Ports: []discovery.EndpointPort{{Port: &port}}}
	for i := from; i < to; i++ {
		s.Endpoints = append(s.Endpoints, discovery.Endpoint{Addresses: []string{fmt.Sprintf("10.0.%d.%d", i/250, i%250)},
			Conditions: discovery.EndpointConditions{Ready: &ready}})
	}
	return s
}

func TestDelta(t *testing.T) {
	list := func(s ...*discovery.EndpointSlice) []*discovery.EndpointSlice { return s }
	have := list(sliceOf("a", 80, true, 0, 100), sliceOf("b", 80, true, 100, 110), sliceOf("c", 80, true, 200, 250))
	for name, tt := range map[string]struct {
		plan Plan
		want Delta
	}{
		"nothing":             {Plan{}, Delta{}},
		"a new slice":         {Plan{Create: list(sliceOf("", 80, true, 110, 113))}, Delta{Added: 3}},
		"a slice goes":        {Plan{Delete: list(have[1])}, Delta{Removed: 10}},
		"others in its stead": {Plan{Update: list(sliceOf("b", 80, true, 105, 120))}, Delta{Added: 10, Removed: 5}},
		"they are not ready":  {Plan{Update: list(sliceOf("b", 80, false, 100, 111))}, Delta{Added: 1, Updated: 10}},
		"they move":           {Plan{Update: list(sliceOf("a", 80, true, 0, 110)), Delete: list(have[1])}, Delta{}},
		"another port": {Plan{Create: list(sliceOf("", 81, true, 100, 110)), Delete: list(have[1])},
			Delta{Added: 10, Removed: 10}},
	} {
		if got := tt.plan.Delta(have); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestFewestSlices(t *testing.T) {
	six := sliceOf("six", 80, true, 0, 1)
	six.AddressType = discovery.AddressTypeIPv6
	have := []*discovery.EndpointSlice{sliceOf("a", 80, true, 0, 60), sliceOf("b", 80, true, 60, 101),
		sliceOf("c", 81, true, 0, 100), sliceOf("empty", 82, true, 0, 0), six}
	if n := FewestSlices(have); n != 4 {
		t.Errorf("%d slices, want two and one for two lists of ports, and one of the other family", n)
	}
}
