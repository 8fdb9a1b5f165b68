package membership

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
)

// written is what one plan does, by name of the slice.
func written(plan Plan) (created int, updated, deleted []string) {
	for _, s := range plan.Update {
		updated = append(updated, s.Name)
	}
	for _, s := range plan.Delete {
		deleted = append(deleted, s.Name)
	}
	slices.Sort(updated)
	return len(plan.Create), updated, deleted
}

// holder is the slice that holds the endpoint of a Pod.
func (c *cluster) holder(t *testing.T, podName string) string {
	t.Helper()
	for _, s := range c.slices {
		for _, e := range s.Endpoints {
			if e.TargetRef.Name == podName {
				return s.Name
			}
		}
	}
	t.Fatalf("no slice holds %s", podName)
	return ""
}

func TestAChangedPodWritesOnlyItsOwnSlice(t *testing.T) {
	changes := map[string]func(*v1.Pod){
		"readiness": notReady, "deletion": deleted, "node": func(p *v1.Pod) { p.Spec.NodeName = "node-2" },
		"recreated, the address kept": func(p *v1.Pod) { p.UID = "another" },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			var c cluster
			pods := somePods(0, 250)
			c.reconcile(t, web(), pods...)
			home := c.holder(t, "p0120")
			change(pods[120])
			created, updated, deleted := written(PlanSlices(web(), OfPods(web(), pods, nil), c.slices))
			if created != 0 || !slices.Equal(updated, []string{home}) || deleted != nil {
				t.Errorf("%d created, %v updated, %v deleted; want only %s updated", created, updated, deleted, home)
			}
		})
	}
}

func TestADepartureIsFilledByAnArrival(t *testing.T) {
	var c cluster
	c.reconcile(t, web(), somePods(0, 200)...) // two full slices
	home := c.holder(t, "p0050")
	pods := append(slices.Delete(somePods(0, 200), 50, 51), somePods(500, 1)...)
	created, updated, deleted := written(PlanSlices(web(), OfPods(web(), pods, nil), c.slices))
	if created != 0 || !slices.Equal(updated, []string{home}) || deleted != nil {
		t.Errorf("%d created, %v updated, %v deleted; want only %s updated", created, updated, deleted, home)
	}
}

// TestNewEndpointsGoWhereLeastRoomIsLeft keeps the emptier slice for a larger batch.
func TestNewEndpointsGoWhereLeastRoomIsLeft(t *testing.T) {
	var c cluster
	c.reconcile(t, web(), somePods(0, 250)...)
	for i := range c.slices { // 100, 90, 50
		if n := len(c.slices[i].Endpoints); n == 100 {
			c.slices[i].Endpoints = c.slices[i].Endpoints[:90]
			break
		}
	}
	var names []string
	for _, s := range c.slices {
		for _, e := range s.Endpoints {
			names = append(names, e.TargetRef.Name)
		}
	}
	pods := slices.DeleteFunc(somePods(0, 250), func(p *v1.Pod) bool { return !slices.Contains(names, p.Name) })
	if n := c.reconcile(t, web(), append(pods, somePods(600, 8)...)...); n != 1 || !slices.Equal(c.sizes(),
		[]int{50, 98, 100}) {
		t.Errorf("%d writes, slices of %v; want one, and 50, 98, 100", n, c.sizes())
	}
}

// TestNothingIsSplitOverSlicesThatWouldOtherwiseStay prefers one new slice to writing several old ones, as upstream
// does.
func TestNothingIsSplitOverSlicesThatWouldOtherwiseStay(t *testing.T) {
	var c cluster
	c.reconcile(t, web(), somePods(0, 100)...)
	c.reconcile(t, web(), somePods(0, 200)...)
	for i := range c.slices {
		c.slices[i].Endpoints = c.slices[i].Endpoints[:60]
	}
	pods := append(somePods(0, 60), somePods(100, 60)...)
	created, updated, deleted := written(PlanSlices(web(), OfPods(web(), append(pods, somePods(300, 50)...), nil),
		c.slices))
	if created != 1 || updated != nil || deleted != nil {
		t.Errorf("%d created, %v updated, %v deleted; want one created", created, updated, deleted)
	}
}

func TestAnOverfullSliceGivesAwayWhatIsTooMuch(t *testing.T) {
	var c cluster
	c.reconcile(t, web(), somePods(0, 50)...)
	for _, m := range OfPods(web(), somePods(50, 130), nil) {
		c.slices[0].Endpoints = append(c.slices[0].Endpoints, endpointOf(&m))
	}
	if n := c.reconcile(t, web(), somePods(0, 180)...); n != 2 || !slices.Equal(c.sizes(), []int{80, 100}) {
		t.Errorf("%d writes, slices of %v; want an update and a create, and 80, 100", n, c.sizes())
	}
}

// TestTheFullestOfTheWrittenIsFilledFirst leaves room together rather than scattered.
func TestTheFullestOfTheWrittenIsFilledFirst(t *testing.T) {
	var c cluster
	c.reconcile(t, web(), somePods(0, 200)...)
	full, other := c.holder(t, "p0000"), c.holder(t, "p0199")
	pods := append(somePods(30, 70), somePods(110, 90)...) // 30 of the first slice go, and 10 of the second
	c.reconcile(t, web(), append(pods, somePods(400, 12)...)...)
	for _, s := range c.slices {
		if want := map[string]int{full: 72, other: 100}[s.Name]; len(s.Endpoints) != want {
			t.Errorf("slice %s has %d endpoints, want %d", s.Name, len(s.Endpoints), want)
		}
	}
}

func TestOneEmptySliceIsLeftOfMany(t *testing.T) {
	portless := func(s *v1.Service) { s.Spec.ClusterIP, s.Spec.Ports = v1.ClusterIPNone, nil }
	for name, svc := range map[string]*v1.Service{"ports": web(), "no ports": web(portless)} {
		var c cluster
		c.reconcile(t, svc, somePods(0, 250)...)
		if n := c.reconcile(t, svc); n != 3 || !slices.Equal(c.sizes(), []int{0}) {
			t.Errorf("%s: %d writes, slices of %v; want one update and two deletes, and one empty slice", name, n, c.sizes())
		}
		empty := c.slices[0].DeepCopy()
		empty.Name += "-too"
		c.slices = append(c.slices, empty)
		if n := c.reconcile(t, svc); n != 1 || !slices.Equal(c.sizes(), []int{0}) {
			t.Errorf("%s: %d writes, slices of %v; want one of two empty slices deleted", name, n, c.sizes())
		}
	}
}

func TestARecycledSliceKeepsItsIdentity(t *testing.T) {
	var c cluster
	c.reconcile(t, web(), pod("a", "10.0.0.1"))
	was := c.slices[0]
	was.UID, was.Annotations = "slice-uid", map[string]string{"somebody": "wrote"}
	other := web(func(s *v1.Service) { s.Spec.Ports[0].TargetPort.IntVal = 9090 })
	plan := PlanSlices(other, OfPods(other, []*v1.Pod{pod("a", "10.0.0.1")}, nil), c.slices)
	if created, updated, deleted := written(plan); created != 0 || len(updated) != 1 || deleted != nil {
		t.Fatalf("%d created, %v updated, %v deleted; want one update", created, updated, deleted)
	}
	s := plan.Update[0]
	if s.Name != was.Name || s.UID != was.UID || s.ResourceVersion != was.ResourceVersion ||
		s.Annotations["somebody"] != "wrote" {
		t.Errorf("name %s, uid %s, version %s, annotations %v", s.Name, s.UID, s.ResourceVersion, s.Annotations)
	}
	if *s.Ports[0].Port != 9090 || *was.Ports[0].Port != 8080 {
		t.Errorf("port %d, and of what was given %d", *s.Ports[0].Port, *was.Ports[0].Port)
	}
}

func TestAForeignSliceIsNotRecycled(t *testing.T) {
	var c cluster
	c.reconcile(t, web(func(s *v1.Service) { s.UID = "earlier" }), pod("a", "10.0.0.1"))
	created, updated, deleted := written(PlanSlices(web(), OfPods(web(), []*v1.Pod{pod("a", "10.0.0.1")}, nil), c.slices))
	if created != 1 || updated != nil || !slices.Equal(deleted, []string{c.slices[0].Name}) {
		t.Errorf("%d created, %v updated, %v deleted: the collector may be deleting that slice already", created, updated,
			deleted)
	}
}

func TestFamiliesArePackedApart(t *testing.T) {
	both := func(p *v1.Pod) { p.Status.PodIPs = append(p.Status.PodIPs, v1.PodIP{IP: "fd00::" + p.Name[1:]}) }
	var c cluster
	c.reconcile(t, web(dualStack), somePods(0, 120, both)...)
	if !slices.Equal(c.sizes(), []int{20, 20, 100, 100}) {
		t.Errorf("slices of %v", c.sizes())
	}
	pods := somePods(0, 120, both)
	pods[0].Status.PodIPs = pods[0].Status.PodIPs[:1] // it loses its IPv6 address
	plan := PlanSlices(web(dualStack), OfPods(web(dualStack), pods, nil), c.slices)
	if len(plan.Update) != 1 || plan.Update[0].AddressType != discovery.AddressTypeIPv6 ||
		len(plan.Create)+len(plan.Delete) != 0 {
		t.Errorf("plan %+v, want one IPv6 slice updated", plan)
	}
	c.reconcile(t, web(), somePods(0, 120, both)...)
	for _, s := range c.slices {
		if s.AddressType != discovery.AddressTypeIPv4 {
			t.Errorf("slice %s of a family that the Service no longer has", s.Name)
		}
	}
}

func TestWhatSomebodyElseWroteIntoAnEndpointIsMended(t *testing.T) {
	yes, text := true, "x"
	changes := map[string]func(*discovery.Endpoint){
		"ready":       func(e *discovery.Endpoint) { e.Conditions.Ready = nil },
		"terminating": func(e *discovery.Endpoint) { e.Conditions.Terminating = &yes },
		"zone":        func(e *discovery.Endpoint) { e.Zone = &text }, "hints": func(e *discovery.Endpoint) {
			e.Hints = &discovery.EndpointHints{ForZones: []discovery.ForZone{{Name: "z"}}}
		},
		"a second address": func(e *discovery.Endpoint) { e.Addresses = append(e.Addresses, "10.9.9.9") },
		"target":           func(e *discovery.Endpoint) { e.TargetRef.UID = "x" },
		"no target":        func(e *discovery.Endpoint) { e.TargetRef = nil },
	}
	for name, change := range changes {
		var c cluster
		c.reconcile(t, web(), pod("a", "10.0.0.1"))
		change(&c.slices[0].Endpoints[0])
		if n := c.reconcile(t, web(), pod("a", "10.0.0.1")); n != 1 {
			t.Errorf("%s: %d writes, want one", name, n)
		}
	}
}

// TestSameEndpointKnowsEveryField fails when the API gains a field that the comparison does not look at.
func TestSameEndpointKnowsEveryField(t *testing.T) {
	for _, of := range []func(*discovery.Endpoint) reflect.Value{
		func(e *discovery.Endpoint) reflect.Value { return reflect.ValueOf(e).Elem() },
		func(e *discovery.Endpoint) reflect.Value { return reflect.ValueOf(&e.Conditions).Elem() },
	} {
		for i := range of(&discovery.Endpoint{}).NumField() {
			var plain, set discovery.Endpoint
			field := of(&set).Field(i)
			switch field.Kind() {
			case reflect.Pointer:
				field.Set(reflect.New(field.Type().Elem()))
			case reflect.Slice:
				field.Set(reflect.MakeSlice(field.Type(), 1, 1))
			case reflect.Map:
				field.Set(reflect.MakeMap(field.Type()))
				field.SetMapIndex(reflect.ValueOf("k"), reflect.ValueOf("v"))
			case reflect.Struct:
				continue // the conditions, a field at a time
			default:
				t.Fatalf("a field of kind %s", field.Kind())
			}
			name := fmt.Sprintf("%s.%s", of(&set).Type().Name(), of(&set).Type().Field(i).Name)
			if sameEndpoint(&plain, &set) || sameEndpoint(&set, &plain) || !sameEndpoint(&set, set.DeepCopy()) {
				t.Errorf("%s is not compared", name)
			}
		}
	}
}
