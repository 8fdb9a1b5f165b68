package node

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

// A finalizer keeps the object of a Pod whose containers have ended.
func TestPodThatOutlivesItsContainersIsNotReady(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("delete", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil,
			nil
	})
	b := startAgent(t, client, nil)
	pod := shell("web", "exec sleep 1000")
	pod.Finalizers = []string{"example.com/keep"}
	b.create(pod)
	b.await("web", "become ready", ready)
	b.mark("web", 1)
	got := b.await("web", "have its container terminated",
		func(p *v1.Pod) bool { return main0(p).State.Terminated != nil })
	if ready(got) {
		t.Errorf("pod is %s", describePod(got))
	}
}

func TestPodThatIsGoneStaysGone(t *testing.T) {
	m := mailbox{kick: make(chan struct{}, 1)}
	pod := shell("web", "exec sleep 1000")
	m.put(pod, true)  // as a request has shown
	m.put(pod, false) // the watch is behind
	if _, gone := m.get(); !gone {
		t.Error("a pod that was gone is back")
	}
}
