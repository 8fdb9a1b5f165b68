package scheduler_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
	"viaduct/internal/scheduler"
)

// timeout is far above what anything here takes on the slowest machine.
const timeout = 20 * time.Second

// TestAgainstTheAPI has a Pod wait for a node, and say so, until one becomes ready.
func TestAgainstTheAPI(t *testing.T) {
	server := apitest.Start(t)
	client := server.Client(t)
	s := run(t, server)
	pods := client.CoreV1().Pods("default")
	_, err := pods.Create(t.Context(), &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	await(t, client, func(pod *v1.Pod) bool {
		return len(pod.Status.Conditions) == 1 && pod.Status.Conditions[0].Reason == v1.PodReasonUnschedulable
	})

	node, err := client.CoreV1().Nodes().Create(t.Context(), &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	await(t, client, func(pod *v1.Pod) bool {
		return pod.Status.Conditions[0].Message == "0/1 nodes are available: 1 node(s) were not ready."
	})
	node.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue}}
	if _, err := client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, client, func(pod *v1.Pod) bool {
		return pod.Spec.NodeName == "n1" && pod.Status.Conditions[0].Status == v1.ConditionTrue
	})
	awaitEvent(t, client, v1.EventTypeWarning, "FailedScheduling", "0/1 nodes are available: 1 node(s) were not ready.")
	awaitEvent(t, client, v1.EventTypeNormal, "Scheduled", "Successfully assigned default/p to n1")
	attempts := s.Collectors()[0]
	for _, result := range []string{"scheduled", "unschedulable"} {
		if n := testutil.ToFloat64(attempts.(*prometheus.CounterVec).WithLabelValues(result)); n < 1 || n > 2 {
			t.Errorf("%v attempts are counted as %s", n, result)
		}
	}
}

// run runs a scheduler with the rights of a controller until the test ends.
func run(t *testing.T, server *apitest.Server) *scheduler.Scheduler {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := scheduler.New(server.ClientAs(t, apiserver.UserController), slog.New(slog.DiscardHandler))
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the scheduler ended with: %v", err)
		}
	})
	return s
}

// await watches until the Pod p is as it should be.
func await(t *testing.T, client kubernetes.Interface, ok func(*v1.Pod) bool) {
	t.Helper()
	awaitPod(t, client, "p", ok)
}

func awaitPod(t *testing.T, client kubernetes.Interface, name string, ok func(*v1.Pod) bool) {
	t.Helper()
	awaitEach(t, client, 1, func(pod *v1.Pod) bool { return pod.Name == name && ok(pod) }, func(*v1.Pod) {})
}

// awaitEach watches until n Pods are as they should be, and calls found with each of them once.
func awaitEach(t *testing.T, client kubernetes.Interface, n int, ok func(*v1.Pod) bool, found func(*v1.Pod)) {
	t.Helper()
	watcher, err := client.CoreV1().Pods("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	late := time.After(timeout)
	for seen := map[string]bool{}; len(seen) < n; {
		select {
		case event := <-watcher.ResultChan():
			if pod, is := event.Object.(*v1.Pod); is && !seen[pod.Name] && ok(pod) {
				seen[pod.Name] = true
				found(pod)
			}
		case <-late:
			t.Fatalf("%d of %d pods became what they should", len(seen), n)
		}
	}
}

// awaitEvent watches until there is an event about the Pod p.
func awaitEvent(t *testing.T, client kubernetes.Interface, kind, reason, message string) {
	t.Helper()
	watcher, err := client.CoreV1().Events("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	for late := time.After(timeout); ; {
		select {
		case event := <-watcher.ResultChan():
			e, is := event.Object.(*v1.Event)
			if is && e.InvolvedObject.Name == "p" && e.Type == kind && e.Reason == reason && e.Message == message {
				return
			}
		case <-late:
			t.Fatalf("there is no event %s: %s", reason, message)
		}
	}
}
