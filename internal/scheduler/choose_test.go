package scheduler

import (
	"maps"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func node(name string, change ...func(*v1.Node)) *v1.Node {
	n := &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"disk": "ssd"}},
		Status:     v1.NodeStatus{Conditions: []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}}},
	}
	for _, f := range change {
		f(n)
	}
	return n
}

func down(n *v1.Node)     { n.Status.Conditions[0].Status = v1.ConditionUnknown }
func cordoned(n *v1.Node) { n.Spec.Unschedulable = true }
func ending(n *v1.Node)   { n.DeletionTimestamp = &metav1.Time{} }

func TestChoose(t *testing.T) {
	wants := func(selector map[string]string) *v1.Pod { return &v1.Pod{Spec: v1.PodSpec{NodeSelector: selector}} }
	tests := []struct {
		name   string
		pod    *v1.Pod
		nodes  []*v1.Node
		podsOn map[string]int
		node   string
		why    string
	}{
		{"the only one", wants(nil), []*v1.Node{node("a")}, nil, "a", ""},
		{"the emptiest", wants(nil), []*v1.Node{node("a"), node("b")}, map[string]int{"a": 2, "b": 1}, "b", ""},
		{"by name", wants(nil), []*v1.Node{node("b"), node("a")}, map[string]int{"": 9}, "a", ""},
		{"the one with the label", wants(map[string]string{"disk": "ssd"}),
			[]*v1.Node{node("a", func(n *v1.Node) { n.Labels = nil }), node("b")}, nil, "b", ""},
		{"none", wants(nil), nil, nil, "", "0/0 nodes are available: no node has registered yet."},
		{"not ready", wants(nil), []*v1.Node{node("a", down)}, nil, "", "0/1 nodes are available: 1 node(s) were not ready."},
		{"no status yet", wants(nil), []*v1.Node{node("a", func(n *v1.Node) { n.Status.Conditions = nil })}, nil, "",
			"0/1 nodes are available: 1 node(s) were not ready."},
		{"each its reason", wants(map[string]string{"disk": "hdd"}), []*v1.Node{node("a", down), node("b", cordoned),
			node("c", ending), node("d"), node("e")}, nil, "",
			"0/5 nodes are available: 1 node(s) were being deleted, 1 node(s) were not ready, 1 node(s) were unschedulable, " +
				"2 node(s) didn't match Pod's node selector."},
	}
	for _, tt := range tests {
		node, why := Choose(tt.pod, tt.nodes, tt.podsOn)
		if node != tt.node || why != tt.why {
			t.Errorf("%s: %q, %q; want %q, %q", tt.name, node, why, tt.node, tt.why)
		}
	}
}

func TestWaits(t *testing.T) {
	tests := []struct {
		name string
		pod  v1.Pod
		want bool
	}{
		{"new", v1.Pod{}, true},
		{"of the default scheduler", v1.Pod{Spec: v1.PodSpec{SchedulerName: "default-scheduler"}}, true},
		{"of another scheduler", v1.Pod{Spec: v1.PodSpec{SchedulerName: "mine"}}, false},
		{"on a node", v1.Pod{Spec: v1.PodSpec{NodeName: "a"}}, false},
		{"being deleted", v1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{}}}, false},
		{"failed before it was on a node", v1.Pod{Status: v1.PodStatus{Phase: v1.PodFailed}}, false},
		{"held by a gate", v1.Pod{Spec: v1.PodSpec{SchedulingGates: []v1.PodSchedulingGate{{Name: "g"}}}}, false},
	}
	for _, tt := range tests {
		if got := needsNode(&tt.pod); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestBegins(t *testing.T) {
	gated := v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "1"},
		Spec: v1.PodSpec{SchedulingGates: []v1.PodSchedulingGate{{Name: "g"}}}}
	waiting := v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "1"}}
	another := v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "2"}}
	bound := v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "1"}, Spec: v1.PodSpec{NodeName: "a"}}
	tests := []struct {
		name          string
		before, after v1.Pod
		want          bool
	}{
		{"a gate opens", gated, waiting, true},
		{"marked as unschedulable", waiting, waiting, false},
		{"bound", waiting, bound, false},
		{"deleted and created again", waiting, another, true},
		{"bound, deleted and created again", bound, another, true},
	}
	for _, tt := range tests {
		if got := becamePending(&tt.before, &tt.after); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestAlters(t *testing.T) {
	tests := []struct {
		name   string
		change func(*v1.Node)
		want   bool
	}{
		{"heartbeat", func(n *v1.Node) { n.ResourceVersion = "2"; n.Status.Conditions[0].LastHeartbeatTime = metav1.Now() },
			false},
		{"not ready", down, true},
		{"cordoned", cordoned, true},
		{"being deleted", ending, true},
		{"labels", func(n *v1.Node) { n.Labels = map[string]string{"disk": "hdd"} }, true},
		{"another node", func(n *v1.Node) { n.UID = "2" }, true},
	}
	for _, tt := range tests {
		if got := schedulingChanged(node("a"), node("a", tt.change)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestCount has bindings counted from when they are made, and forgotten when the Pod shows them or is gone.
func TestCount(t *testing.T) {
	on := func(uid types.UID, node string, phase v1.PodPhase) *v1.Pod {
		return &v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid}, Spec: v1.PodSpec{NodeName: node},
			Status: v1.PodStatus{Phase: phase}}
	}
	pods := []*v1.Pod{on("shown", "a", ""), on("behind", "", ""), on("waits", "", ""), on("old", "a", v1.PodRunning),
		on("done", "b", v1.PodSucceeded)}
	assumed := map[types.UID]string{"shown": "a", "behind": "b", "gone": "a"}
	counts, still := podsPerNode(pods, assumed)
	if want := map[string]int{"a": 2, "b": 1}; !maps.Equal(counts, want) {
		t.Errorf("counted %v, want %v", counts, want)
	}
	if want := map[types.UID]string{"behind": "b"}; !maps.Equal(still, want) {
		t.Errorf("still assumed: %v, want %v", still, want)
	}
	if len(assumed) != 3 {
		t.Error("count edited what it was given")
	}
}
