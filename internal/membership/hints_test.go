package membership

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// topologyOf has one ready node of each "name zone cpu"; a zone or cpu of - is none, and a fourth word says what is odd
// about the node.
func topologyOf(nodes ...string) *Topology {
	t := NewTopology()
	for _, n := range nodes {
		t.Set(nodeOf(n))
	}
	return t
}

func nodeOf(spec string) *v1.Node {
	word := strings.Fields(spec)
	n := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: word[0], Labels: map[string]string{}}}
	if word[1] != "-" {
		n.Labels[v1.LabelTopologyZone] = word[1]
	}
	if word[2] != "-" {
		n.Status.Allocatable = v1.ResourceList{v1.ResourceCPU: resource.MustParse(word[2])}
	}
	n.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}}
	switch {
	case len(word) < 4:
	case word[3] == "down":
		n.Status.Conditions[0].Status = v1.ConditionFalse
	case word[3] == "control":
		n.Labels["node-role.kubernetes.io/control-plane"] = ""
	}
	return n
}

// podOn is a ready Pod on a node.
func podOn(i int, node string) *v1.Pod {
	ip := fmt.Sprintf("10.0.%d.%d", i/250, 1+i%250)
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprintf("p%d", i), Labels: map[string]string{"app": "web"}},
		Spec:       v1.PodSpec{NodeName: node},
		Status: v1.PodStatus{Phase: v1.PodRunning, PodIP: ip, PodIPs: []v1.PodIP{{IP: ip}},
			Conditions: []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionTrue}}},
	}
}

// podsOn are so many ready Pods on each node: "a a b" are two on a and one on b.
func podsOn(nodes string) []*v1.Pod {
	var pods []*v1.Pod
	for i, node := range strings.Fields(nodes) {
		pods = append(pods, podOn(i, node))
	}
	return pods
}

func auto(svc *v1.Service) { svc.Annotations = map[string]string{v1.AnnotationTopologyMode: "Auto"} }

func prefer(how string) func(*v1.Service) {
	return func(svc *v1.Service) { svc.Spec.TrafficDistribution = &how }
}

// spellHints writes the hints of members down, in order: zone/node, - for none.
func spellHints(members []Member) string {
	var out []string
	for _, m := range members {
		hint := m.HintZone
		if m.HintNode != "" {
			hint += "/" + m.HintNode
		}
		if hint == "" {
			hint = "-"
		}
		out = append(out, hint)
	}
	return strings.Join(out, " ")
}

// countHints counts the hints of each zone: "x:2 y:1".
func countHints(members []Member) string {
	counts := map[string]int{}
	for _, m := range members {
		counts[m.HintZone]++
	}
	var out []string
	for _, zone := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%s:%d", zone, counts[zone]))
	}
	return strings.Join(out, " ")
}

func TestHints(t *testing.T) {
	even := []string{"a x 4", "b y 4", "c z 4"}
	for name, c := range map[string]struct {
		nodes  []string
		pods   string
		change func(*v1.Service)
		want   string
	}{
		"not asked for":                    {even, "a b c", func(*v1.Service) {}, "- - -"},
		"PreferSameZone":                   {even, "a b c", prefer("PreferSameZone"), "x y z"},
		"PreferClose is PreferSameZone":    {even, "a b c", prefer("PreferClose"), "x y z"},
		"PreferSameNode":                   {even, "a b c", prefer("PreferSameNode"), "x/a y/b z/c"},
		"a word that nobody knows":         {even, "a b c", prefer("PreferMoon"), "- - -"},
		"same zone, of a node without one": {[]string{"a - 4", "b y 4"}, "a b", prefer("PreferSameZone"), "- y"},
		"same node, of a node without one": {[]string{"a - 4", "b y 4"}, "a b", prefer("PreferSameNode"), "/a y/b"},
		"a node that is not there":         {even, "gone b", prefer("PreferSameZone"), "- y"},
		"the annotation goes before the field": {even, "a b c", func(svc *v1.Service) {
			auto(svc)
			prefer("PreferSameNode")(svc)
		}, "x y z"},
		"the deprecated annotation goes first": {even, "a b c", func(svc *v1.Service) {
			svc.Annotations = map[string]string{v1.AnnotationTopologyMode: "Auto",
				v1.DeprecatedAnnotationTopologyAwareHints: "disabled"}
		}, "- - -"},
		"the deprecated annotation alone": {even, "a b c", func(svc *v1.Service) {
			svc.Annotations = map[string]string{v1.DeprecatedAnnotationTopologyAwareHints: "auto"}
		}, "x y z"},
		"an annotation with another value": {even, "a b c", func(svc *v1.Service) {
			svc.Annotations = map[string]string{v1.AnnotationTopologyMode: "AUTO"}
		}, "- - -"},
		"one zone":                            {[]string{"a x 4", "b x 4"}, "a b", auto, "- -"},
		"fewer endpoints than zones":          {even, "a b", auto, "- -"},
		"a ready node without a zone":         {[]string{"a x 4", "b y 4", "d - 4"}, "a b", auto, "- -"},
		"a ready node without CPU":            {[]string{"a x 4", "b y 4", "d y -"}, "a b", auto, "- -"},
		"a node that is not ready counts not": {[]string{"a x 4", "b y 4", "d - - down"}, "a b", auto, "x y"},
		"a control plane counts not":          {[]string{"a x 4", "b y 4", "d - - control"}, "a b", auto, "x y"},
		"an endpoint without a zone":          {even, "a b gone", auto, "- - -"},
		"an endpoint in a zone without CPU": {[]string{"a x 4", "b y 4", "d z 4 control"}, "a a b b d d", auto,
			"x x y y x y"},
	} {
		t.Run(name, func(t *testing.T) {
			svc, topology := web(), topologyOf(c.nodes...)
			c.change(svc)
			members := OfPods(svc, podsOn(c.pods), topology.Zone)
			AddHints(svc, members, topology, nil)
			if got := spellHints(members); got != c.want {
				t.Errorf("hints %s, want %s", got, c.want)
			}
		})
	}
}

func TestHintsInProportion(t *testing.T) {
	for name, c := range map[string]struct {
		nodes []string
		pods  string
		want  string
	}{
		"all in their zones":                  {[]string{"a x 4", "b y 4"}, "a a a b b b", "x:3 y:3"},
		"off by less than a half stays":       {[]string{"a x 4", "b y 5"}, "a a a b b b", "x:3 y:3"},
		"one zone has all":                    {[]string{"a x 4", "b y 4"}, "a a a a a a", "x:3 y:3"},
		"by CPU":                              {[]string{"a x 2", "b y 6"}, "a a a a b b b b", "x:2 y:6"},
		"by CPU of all nodes of a zone":       {[]string{"a x 2", "a2 x 4", "b y 6"}, "b b b b b b", "x:3 y:3"},
		"three zones":                         {[]string{"a x 4", "b y 4", "c z 4"}, "a a a a a a a a a", "x:3 y:3 z:3"},
		"too few for the shares are for all":  {[]string{"a x 1", "b y 100"}, "a b", ":2"},
		"a share of less than a half is none": {[]string{"a x 1", "b y 100"}, strings.Repeat("b ", 30), "y:30"},
	} {
		t.Run(name, func(t *testing.T) {
			svc, topology := web(), topologyOf(c.nodes...)
			auto(svc)
			members := OfPods(svc, podsOn(c.pods), topology.Zone)
			AddHints(svc, members, topology, nil)
			if got := countHints(members); got != c.want {
				t.Errorf("hints %s, want %s", got, c.want)
			}
		})
	}
}

// reconcileHints brings the slices up to date, and tells what changed about the hints.
func (c *cluster) reconcileHints(t *testing.T, svc *v1.Service, topology *Topology, pods []*v1.Pod) []HintsChange {
	t.Helper()
	members := OfPods(svc, pods, topology.Zone)
	changes := AddHints(svc, members, topology, c.slices)
	c.apply(t, PlanSlices(svc, members, c.slices))
	members = OfPods(svc, pods, topology.Zone)
	if again := AddHints(svc, members, topology, c.slices); len(again) > 0 {
		t.Errorf("hints that are there change again: %v", again)
	}
	if plan := PlanSlices(svc, members, c.slices); !plan.Empty() {
		t.Errorf("what was planned is planned again: %v", plan)
	}
	return changes
}

func (c *cluster) hintOf(pod string) string {
	for _, s := range c.slices {
		for _, e := range s.Endpoints {
			if e.TargetRef.Name != pod {
				continue
			}
			if e.Hints == nil {
				return "-"
			}
			return e.Hints.ForZones[0].Name
		}
	}
	return "gone"
}

// A zone that gets more CPU takes as few hints from the others as it needs; the rest stay as they are.
func TestHintsStay(t *testing.T) {
	svc, topology := web(), topologyOf("a x 4", "b y 4")
	auto(svc)
	var c cluster
	pods := podsOn("a a a a a a a a b b")
	c.reconcileHints(t, svc, topology, pods)
	before := map[string]string{}
	for _, p := range pods {
		before[p.Name] = c.hintOf(p.Name)
	}
	topology.Set(nodeOf("b y 6"))
	c.reconcileHints(t, svc, topology, pods)
	moved := 0
	for _, p := range pods {
		if c.hintOf(p.Name) != before[p.Name] {
			moved++
		}
	}
	if moved != 1 {
		t.Errorf("%d hints moved, want 1: 5 and 5 of 10 have become 4 and 6", moved)
	}
}

// What upstream leaves behind: hints of endpoints that are no longer ready, and of a Service that no longer asks for
// any.
func TestHintsGo(t *testing.T) {
	svc, topology := web(), topologyOf("a x 4", "b y 4")
	prefer("PreferSameZone")(svc)
	var c cluster
	pods := podsOn("a b b")
	c.reconcileHints(t, svc, topology, pods)
	if got := c.hintOf("p2"); got != "y" {
		t.Fatalf("the hint of p2 is %s, want y", got)
	}
	notReady(pods[2])
	c.reconcileHints(t, svc, topology, pods)
	if got := c.hintOf("p2"); got != "-" {
		t.Errorf("a Pod that is not ready has the hint %s", got)
	}
	svc.Spec.TrafficDistribution = nil
	c.reconcileHints(t, svc, topology, pods)
	if got := c.hintOf("p0"); got != "-" {
		t.Errorf("a Service that does not ask has the hint %s", got)
	}
}

// A node that changes its zone takes its endpoints along, which elsewhere waits for another change of the Service.
func TestHintsFollowTheZone(t *testing.T) {
	svc, topology := web(), topologyOf("a x 4", "b y 4")
	prefer("PreferSameZone")(svc)
	var c cluster
	pods := podsOn("a b")
	c.reconcileHints(t, svc, topology, pods)
	if zone, _ := topology.Set(nodeOf("a z 4")); !zone {
		t.Error("another zone is not told")
	}
	c.reconcileHints(t, svc, topology, pods)
	if got := c.hintOf("p0"); got != "z" {
		t.Errorf("the hint is %s, want z", got)
	}
}

func TestHintsChangesAreTold(t *testing.T) {
	svc, topology := web(), topologyOf("a x 4", "b y 4")
	auto(svc)
	var c cluster
	pods := podsOn("a b")
	for _, step := range []struct {
		name string
		do   func()
		want []HintsChange
	}{
		{"at first", func() {}, []HintsChange{{Type: discovery.AddressTypeIPv4, Enabled: true}}},
		{"nothing new", func() {}, nil},
		{"a node without a zone", func() { topology.Set(nodeOf("d - 4")) }, []HintsChange{{Type: discovery.AddressTypeIPv4,
			Why: "a ready node is in no zone"}}},
		{"still so", func() {}, nil},
		{"that node is gone", func() { topology.Drop("d") }, []HintsChange{{Type: discovery.AddressTypeIPv4, Enabled: true}}},
		{"nobody is left", func() { pods = nil }, []HintsChange{{Type: discovery.AddressTypeIPv4,
			Why: "there are fewer ready endpoints than zones: 0 and 2"}}},
		{"the Service asks no more", func() { svc.Annotations = nil }, nil},
	} {
		step.do()
		if got := c.reconcileHints(t, svc, topology, pods); !slices.Equal(got, step.want) {
			t.Errorf("%s: told %v, want %v", step.name, got, step.want)
		}
	}
}

func TestTopologyTellsChanges(t *testing.T) {
	for name, c := range map[string]struct {
		before, after string // "": not there
		zone, shares  bool
	}{
		"new":                    {"", "a x 4", true, true},
		"new, but not ready":     {"", "a x 4 down", true, false},
		"the same":               {"a x 4", "a x 4", false, false},
		"another zone":           {"a x 4", "a y 4", true, true},
		"more CPU":               {"a x 4", "a x 8", false, true},
		"down":                   {"a x 4", "a x 4 down", false, true},
		"up":                     {"a x 4 down", "a x 4", false, true},
		"more CPU, but down":     {"a x 4 down", "a x 8 down", false, false},
		"gone":                   {"a x 4", "", true, true},
		"gone, having been down": {"a x 4 down", "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			topology := NewTopology()
			if c.before != "" {
				topology.Set(nodeOf(c.before))
			}
			var zone, shares bool
			if c.after == "" {
				zone, shares = topology.Drop("a")
			} else {
				zone, shares = topology.Set(nodeOf(c.after))
			}
			if zone != c.zone || shares != c.shares {
				t.Errorf("zone %v, shares %v; want %v, %v", zone, shares, c.zone, c.shares)
			}
		})
	}
	if zone, shares := NewTopology().Drop("nobody"); zone || shares {
		t.Error("a node that was never there changes something")
	}
}
