package membership

import (
	"fmt"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// cluster applies plans as the API would: it names, versions and keeps slices.
type cluster struct {
	slices         []*discovery.EndpointSlice
	names, version int
	written        int // creates, updates and deletes so far
}

func (c *cluster) apply(t testing.TB, plan Plan) {
	t.Helper()
	for _, s := range plan.Create {
		made := s.DeepCopy()
		c.names++
		made.Name = fmt.Sprintf("%s%03d", s.GenerateName, c.names)
		c.slices = append(c.slices, c.versioned(made))
	}
	for _, s := range plan.Update {
		c.slices[c.find(t, s)] = c.versioned(s.DeepCopy())
	}
	for _, s := range plan.Delete {
		i := c.find(t, s)
		c.slices = slices.Delete(c.slices, i, i+1)
	}
	c.written += len(plan.Create) + len(plan.Update) + len(plan.Delete)
}

func (c *cluster) versioned(s *discovery.EndpointSlice) *discovery.EndpointSlice {
	c.version++
	s.ResourceVersion = fmt.Sprint(c.version)
	return s
}

func (c *cluster) find(t testing.TB, s *discovery.EndpointSlice) int {
	t.Helper()
	i := slices.IndexFunc(c.slices, func(have *discovery.EndpointSlice) bool { return have.Name == s.Name })
	if i < 0 {
		t.Fatalf("the plan writes slice %q, which does not exist", s.Name)
	}
	if c.slices[i].ResourceVersion != s.ResourceVersion {
		t.Fatalf("the plan writes slice %s at version %s, it is at %s", s.Name, s.ResourceVersion,
			c.slices[i].ResourceVersion)
	}
	return i
}

// reconcile plans and applies for pods, checks that a second plan is empty, and returns how many writes it took.
func (c *cluster) reconcile(t testing.TB, svc *v1.Service, pods ...*v1.Pod) int {
	t.Helper()
	before := c.written
	members := OfPods(svc, pods, nil)
	c.apply(t, PlanSlices(svc, members, c.slices))
	if again := PlanSlices(svc, members, c.slices); !again.Empty() {
		t.Fatalf("planned again, there is more to write: %d creates, %d updates, %d deletes", len(again.Create),
			len(again.Update), len(again.Delete))
	}
	for _, s := range c.slices {
		if len(s.Endpoints) > MaxEndpointsPerSlice {
			t.Errorf("slice %s has %d endpoints", s.Name, len(s.Endpoints))
		}
	}
	return c.written - before
}

func (c *cluster) sizes() []int {
	var sizes []int
	for _, s := range c.slices {
		sizes = append(sizes, len(s.Endpoints))
	}
	slices.Sort(sizes)
	return sizes
}

func somePods(from, n int, change ...func(*v1.Pod)) []*v1.Pod {
	var pods []*v1.Pod
	for i := from; i < from+n; i++ {
		pods = append(pods, pod(fmt.Sprintf("p%04d", i), fmt.Sprintf("10.1.%d.%d", i/200, i%200+1), change...))
	}
	return pods
}

func TestNobodyHasOneEmptySlice(t *testing.T) {
	var c cluster
	if n := c.reconcile(t, web(dualStack)); n != 2 {
		t.Errorf("%d writes, want one for each family", n)
	}
	for _, s := range c.slices {
		if len(s.Endpoints) != 0 || len(s.Ports) != 0 {
			t.Errorf("slice %s: %d endpoints, %d ports", s.Name, len(s.Endpoints), len(s.Ports))
		}
	}
}

func TestTheFirstPodTakesOverTheEmptySlice(t *testing.T) {
	var c cluster
	c.reconcile(t, web())
	name := c.slices[0].Name
	if n := c.reconcile(t, web(), pod("a", "10.0.0.1")); n != 1 || c.slices[0].Name != name {
		t.Errorf("%d writes, slice %s; want one update of %s", n, c.slices[0].Name, name)
	}
	if n := c.reconcile(t, web()); n != 1 || c.slices[0].Name != name {
		t.Errorf("%d writes, slice %s; want one update of %s", n, c.slices[0].Name, name)
	}
}

func TestOneChangeIsOneWrite(t *testing.T) {
	var c cluster
	pods := somePods(0, 250)
	if n := c.reconcile(t, web(), pods...); n != 3 || !slices.Equal(c.sizes(), []int{50, 100, 100}) {
		t.Fatalf("%d writes, slices of %v", n, c.sizes())
	}
	steps := []struct {
		name string
		pods func() []*v1.Pod
	}{
		{"one not ready", func() []*v1.Pod { notReady(pods[7]); return pods }},
		{"one deleted", func() []*v1.Pod { deleted(pods[120]); return pods }},
		{"one more", func() []*v1.Pod { pods = append(pods, somePods(250, 1)...); return pods }},
		{"one gone", func() []*v1.Pod { pods = slices.Delete(pods, 120, 121); return pods }},
		{"one replaced", func() []*v1.Pod { pods[3] = somePods(900, 1)[0]; return pods }},
	}
	for _, step := range steps {
		if n := c.reconcile(t, web(), step.pods()...); n != 1 {
			t.Errorf("%s: %d writes", step.name, n)
		}
	}
}

func TestRoomIsUsedBeforeAnotherSliceIsMade(t *testing.T) {
	var c cluster
	c.reconcile(t, web(), somePods(0, 250)...)
	if n := c.reconcile(t, web(), somePods(0, 300)...); n != 1 || !slices.Equal(c.sizes(), []int{100, 100, 100}) {
		t.Errorf("50 more: %d writes, slices of %v", n, c.sizes())
	}
	if n := c.reconcile(t, web(), somePods(0, 301)...); n != 1 || !slices.Equal(c.sizes(), []int{1, 100, 100, 100}) {
		t.Errorf("one more than fits: %d writes, slices of %v", n, c.sizes())
	}
}

func TestPortsMakeGroups(t *testing.T) {
	svc := web(func(s *v1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromString("http") })
	var c cluster
	c.reconcile(t, svc, pod("a", "10.0.0.1"), pod("b", "10.0.0.2", httpAt(8081)), pod("c", "10.0.0.3", noPorts))
	ports := map[string]int{}
	for _, s := range c.slices {
		ports[fmt.Sprint(portsOfSlice(s))]++
	}
	if len(c.slices) != 3 || len(ports) != 3 {
		t.Errorf("slices with ports %v, want three: two numbers, and none for the Pod that lacks the name", ports)
	}
	if n := c.reconcile(t, svc, pod("a", "10.0.0.1")); n != 2 || len(c.slices) != 1 {
		t.Errorf("after two went: %d writes, %d slices", n, len(c.slices))
	}
}

func TestLabelsAreRepaired(t *testing.T) {
	var c cluster
	c.reconcile(t, web(), pod("a", "10.0.0.1"))
	labelled := web(func(s *v1.Service) {
		s.Labels = map[string]string{"team": "x", discovery.LabelManagedBy: "me", v1.IsHeadlessService: ""}
	})
	if n := c.reconcile(t, labelled, pod("a", "10.0.0.1")); n != 1 {
		t.Errorf("%d writes", n)
	}
	want := map[string]string{"team": "x", discovery.LabelManagedBy: SliceManagedBy, discovery.LabelServiceName: "web"}
	if got := c.slices[0].Labels; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("labels %v, want %v", got, want)
	}
	if n := c.reconcile(t, web(headless), pod("a", "10.0.0.1")); n != 1 || c.slices[0].Labels[v1.IsHeadlessService] != "" {
		t.Errorf("%d writes, labels %v", n, c.slices[0].Labels)
	}
	if _, ok := c.slices[0].Labels[v1.IsHeadlessService]; !ok {
		t.Errorf("a headless Service's slice has labels %v", c.slices[0].Labels)
	}
}

func TestSlicesOfAnEarlierServiceAreTakenOver(t *testing.T) {
	var c cluster
	c.reconcile(t, web(func(s *v1.Service) { s.UID = "earlier" }), pod("a", "10.0.0.1"))
	c.reconcile(t, web(), pod("a", "10.0.0.1"))
	if len(c.slices) != 1 || c.slices[0].OwnerReferences[0].UID != "svc-uid" {
		t.Errorf("%d slices, owned by %v", len(c.slices), c.slices[0].OwnerReferences)
	}
}

func TestOddSlicesAreMended(t *testing.T) {
	var c cluster
	c.reconcile(t, web(), somePods(0, 50)...)
	twin := c.slices[0].DeepCopy() // the same endpoints once more
	twin.Name = "web-twin"
	c.slices = append(c.slices, twin)
	c.reconcile(t, web(), somePods(0, 50)...)
	if !slices.Equal(c.sizes(), []int{50}) {
		t.Errorf("slices of %v after there were twins", c.sizes())
	}
	c.slices[0].Endpoints = append(c.slices[0].Endpoints, overfullTail()...)
	c.reconcile(t, web(), somePods(0, 180)...)
	if got := c.sizes(); got[len(got)-1] > 100 {
		t.Errorf("slices of %v after one was overfull", got)
	}
}

// overfullTail is more endpoints than a slice is filled to.
func overfullTail() []discovery.Endpoint {
	var out []discovery.Endpoint
	for _, m := range OfPods(web(), somePods(50, 130), nil) {
		out = append(out, endpointOf(&m))
	}
	return out
}

func TestASliceThatIsEndingIsNotCountedOn(t *testing.T) {
	var c cluster
	c.reconcile(t, web(), pod("a", "10.0.0.1"))
	ending := c.slices[0].DeepCopy()
	ending.DeletionTimestamp = pod("x", "10.0.0.9", deleted).DeletionTimestamp
	plan := PlanSlices(web(), OfPods(web(), []*v1.Pod{pod("a", "10.0.0.1")}, nil), []*discovery.EndpointSlice{ending})
	if len(plan.Create) != 1 || len(plan.Update)+len(plan.Delete) != 0 {
		t.Errorf("plan %+v, want one create", plan)
	}
}

func TestNothingGivenIsEdited(t *testing.T) {
	var c cluster
	c.reconcile(t, web(), somePods(0, 120)...)
	before := make([]*discovery.EndpointSlice, len(c.slices))
	for i, s := range c.slices {
		before[i] = s.DeepCopy()
	}
	PlanSlices(web(twoPorts), OfPods(web(twoPorts), somePods(60, 120, notReady), nil), c.slices)
	for i, s := range c.slices {
		if !apiequality.Semantic.DeepEqual(s, before[i]) {
			t.Errorf("planning changed slice %s", s.Name)
		}
	}
}

func TestConditions(t *testing.T) {
	members := OfPods(web(), []*v1.Pod{pod("a", "10.0.0.1"), pod("b", "10.0.0.2", notReady), pod("c", "10.0.0.3", deleted),
		pod("d", "10.0.0.4", deleted, notReady)}, nil)
	want := map[string][3]bool{ // ready, serving, terminating
		"10.0.0.1": {true, true, false}, "10.0.0.2": {false, false, false}, "10.0.0.3": {false, true, true},
		"10.0.0.4": {false, false, true},
	}
	for _, e := range PlanSlices(web(), members, nil).Create[0].Endpoints {
		c := e.Conditions
		if got := [3]bool{*c.Ready, *c.Serving, *c.Terminating}; got != want[e.Addresses[0]] {
			t.Errorf("%s: ready, serving, terminating = %v, want %v", e.Addresses[0], got, want[e.Addresses[0]])
		}
	}
}
