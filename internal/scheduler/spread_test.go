package scheduler_test

import (
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver/apitest"
)

// createNode creates a node; a ready one may be given Pods.
func createNode(t *testing.T, client kubernetes.Interface, name string, ready bool, change func(*v1.Node)) {
	t.Helper()
	node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if change != nil {
		change(node)
	}
	made, err := client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !ready {
		return
	}
	made.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}}
	if _, err := client.CoreV1().Nodes().UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func createPod(t *testing.T, client kubernetes.Interface, name string, change func(*v1.Pod)) {
	t.Helper()
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c", Image: "i"}}}}
	if change != nil {
		change(pod)
	}
	if _, err := client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestABurstIsSpread creates Pods faster than their bindings come back through the watch.
func TestABurstIsSpread(t *testing.T) {
	const burst = 30
	server := apitest.Start(t)
	client := server.Client(t)
	createNode(t, client, "n1", true, nil)
	createNode(t, client, "n2", true, nil)
	for i := range burst {
		createPod(t, client, fmt.Sprintf("p%d", i), nil)
	}
	run(t, server)
	on := map[string]int{}
	awaitEach(t, client, burst, func(pod *v1.Pod) bool { return pod.Spec.NodeName != "" },
		func(pod *v1.Pod) { on[pod.Spec.NodeName]++ })
	if on["n1"] != burst/2 || on["n2"] != burst/2 {
		t.Errorf("Pods on nodes: %v, want %d on each", on, burst/2)
	}
}

// TestAPodIsBoundInTime measures from the request to the watch's answer; it logs the time, and fails only if a Pod
// waits for a timer.
func TestAPodIsBoundInTime(t *testing.T) {
	server := apitest.Start(t)
	client := server.Client(t)
	createNode(t, client, "n1", true, nil)
	run(t, server)
	bound := func(name string) time.Duration {
		start := time.Now()
		createPod(t, client, name, nil)
		awaitPod(t, client, name, func(pod *v1.Pod) bool { return pod.Spec.NodeName == "n1" })
		return time.Since(start)
	}
	bound("first") // after which the caches are filled
	best := time.Hour
	for i := range 10 {
		best = min(best, bound(fmt.Sprintf("p%d", i)))
	}
	t.Logf("a pod is created, bound and seen in %s", best)
	if best > time.Second {
		t.Errorf("the best of ten took %s", best)
	}
}

func TestWhatChangesANodeIsLookedAt(t *testing.T) {
	tests := []struct {
		name   string
		before func(*v1.Node)
		pod    func(*v1.Pod)
		why    string
		change func(*v1.Node)
	}{
		{"uncordoned", func(n *v1.Node) { n.Spec.Unschedulable = true }, nil,
			"0/1 nodes are available: 1 node(s) were unschedulable.",
			func(n *v1.Node) { n.Spec.Unschedulable = false }},
		{"labelled", nil, func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} },
			"0/1 nodes are available: 1 node(s) didn't match Pod's node selector.",
			func(n *v1.Node) { n.Labels = map[string]string{"disk": "ssd"} }},
	}
	server := apitest.Start(t)
	client := server.Client(t)
	run(t, server)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			node, name := fmt.Sprintf("n%d", i), fmt.Sprintf("p%d", i)
			createNode(t, client, node, true, tt.before)
			createPod(t, client, name, tt.pod)
			awaitPod(t, client, name, func(p *v1.Pod) bool {
				return len(p.Status.Conditions) == 1 &&
					p.Status.Conditions[0].Message == tt.why
			})
			n, err := client.CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			tt.change(n)
			if _, err := client.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			awaitPod(t, client, name, func(p *v1.Pod) bool { return p.Spec.NodeName == node })
			if err := client.CoreV1().Nodes().Delete(t.Context(), node, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestOthersPodsAreLeftAlone has a Pod of another scheduler come before one of ours; once ours is bound, the other
// would have been.
func TestOthersPodsAreLeftAlone(t *testing.T) {
	server := apitest.Start(t)
	client := server.Client(t)
	createNode(t, client, "n1", true, nil)
	createPod(t, client, "theirs", func(p *v1.Pod) { p.Spec.SchedulerName = "mine" })
	run(t, server)
	createPod(t, client, "ours", nil)
	awaitPod(t, client, "ours", func(p *v1.Pod) bool { return p.Spec.NodeName == "n1" })
	theirs, err := client.CoreV1().Pods("default").Get(t.Context(), "theirs", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if theirs.Spec.NodeName != "" || len(theirs.Status.Conditions) != 0 {
		t.Errorf("node %q, conditions %v", theirs.Spec.NodeName, theirs.Status.Conditions)
	}
}
