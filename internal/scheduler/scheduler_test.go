package scheduler_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
	"viaduct/internal/scheduler"
)

// TestAgainstTheAPI has a Pod wait for a node, and say so, until one becomes ready.
func TestAgainstTheAPI(t *testing.T) {
	server := apitest.Start(t)
	client := server.Client(t)
	run(t, server)
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

	node, err := client.CoreV1().Nodes().Create(t.Context(), &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{})
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
}

// run runs a scheduler with the rights of a controller until the test ends.
func run(t *testing.T, server *apitest.Server) {
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
}

// await watches until the Pod p is as it should be.
func await(t *testing.T, client kubernetes.Interface, ok func(*v1.Pod) bool) {
	t.Helper()
	events, err := client.CoreV1().Pods("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	late := time.After(20 * time.Second)
	for {
		select {
		case event := <-events.ResultChan():
			if pod, is := event.Object.(*v1.Pod); is && ok(pod) {
				return
			}
		case <-late:
			t.Fatal("the pod did not become what it should")
		}
	}
}
