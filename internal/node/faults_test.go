package node

import (
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

// refuseFirst has the client's server answer the first n of these requests with err.
func refuseFirst(client *fake.Clientset, n int32, verb, resource, subresource string, err error) *atomic.Int32 {
	var refused atomic.Int32
	client.PrependReactor(verb, resource, func(action k8stesting.Action) (bool, runtime.Object, error) {
		if action.GetSubresource() != subresource || refused.Load() >= n {
			return false, nil, nil
		}
		refused.Add(1)
		return true, nil, err
	})
	return &refused
}

func TestStatusIsWrittenAfterAConflict(t *testing.T) {
	client := fake.NewClientset()
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "web", errors.New("another client wrote"))
	refused := refuseFirst(client, 3, "patch", "pods", "status", conflict)
	b := startAgent(t, client, nil)
	b.create(shell("web", "exec sleep 1000"))
	b.await("web", "become ready", ready)
	if refused.Load() != 3 {
		t.Errorf("%d writes were refused, want 3", refused.Load())
	}
}

func TestDeletionIsTriedAgain(t *testing.T) {
	client := fake.NewClientset()
	refused := refuseFirst(client, 1, "delete", "pods", "", errors.New("the server has a fault"))
	b := startAgent(t, client, nil)
	b.create(shell("web", "exec sleep 1000"))
	b.await("web", "become ready", ready)
	b.mark("web", 1)
	b.await("web", "be gone", func(p *v1.Pod) bool { return p == nil })
	if refused.Load() != 1 {
		t.Errorf("%d deletions were refused, want 1", refused.Load())
	}
}

func TestRegistrationIsTriedAgain(t *testing.T) {
	client := fake.NewClientset()
	refused := refuseFirst(client, 1, "create", "nodes", "", errors.New("the server is not up"))
	b := startAgent(t, client, nil)
	b.create(shell("web", "exec sleep 1000"))
	b.await("web", "become ready", ready)
	if refused.Load() != 1 {
		t.Errorf("%d registrations were refused, want 1", refused.Load())
	}
}

func TestWaitsForAnAddress(t *testing.T) {
	cidr := netip.PrefixFrom(testCIDR().Addr(), 30) // two addresses
	b := startAgent(t, fake.NewClientset(), func(o *Options) { o.PodCIDR = cidr })
	for _, name := range []string{"one", "two"} {
		b.create(shell(name, "exec sleep 1000"))
		b.await(name, "become ready", ready)
	}
	b.create(shell("three", "exec sleep 1000"))
	b.event("FailedCreatePodSandBox")
	host := shell("host", "exec sleep 1000")
	host.Spec.HostNetwork = true
	b.create(host)
	if got := b.await("host", "become ready", ready); got.Status.PodIP != "127.0.0.1" {
		t.Errorf("a pod on the host's network is at %s", got.Status.PodIP)
	}
	b.mark("one", 0)
	b.await("three", "become ready once an address is free", ready)
}

func TestReplacedPod(t *testing.T) {
	one, two := shell("a", ""), shell("a", "")
	if replaced(one, two) {
		t.Error("the same pod counts as replaced")
	}
	if two.UID = "another"; !replaced(one, two) {
		t.Error("another pod of the same name does not count as replaced")
	}
}

func TestOlder(t *testing.T) {
	at := func(version string) *v1.Pod {
		return &v1.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}}
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"9", "10", true}, {"10", "9", false}, {"10", "10", false}, {"", "10", false}, {"x", "10", false}} {
		if got := older(at(tt.a), at(tt.b)); got != tt.want {
			t.Errorf("version %q older than %q: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestRestartsWhileTheAPIIsAway(t *testing.T) {
	client := fake.NewClientset()
	var away atomic.Bool
	client.PrependReactor("list", "services", func(k8stesting.Action) (bool, runtime.Object, error) {
		return away.Load(), nil, errors.New("the server is away")
	})
	b := startAgent(t, client, nil)
	pipe, read := fifo(t)
	b.create(shell("web", "echo run > "+pipe+"; exit 1"))
	read()
	away.Store(true)
	for range 2 {
		if said := read(); !strings.HasPrefix(said, "run") {
			t.Errorf("a later run said %q", said)
		}
	}
}

func TestShutdownIsBounded(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), func(o *Options) { o.ShutdownGrace = 100 * time.Millisecond })
	pipe, read := fifo(t)
	pod := shell("deaf", "trap : TERM; echo $$$$ > "+pipe+"; while :; do sleep 1000; done")
	grace := int64(3600)
	pod.Spec.TerminationGracePeriodSeconds = &grace
	b.create(pod)
	pid := number(t, read())
	b.await("deaf", "become ready", ready)
	b.stop() // fails if it takes longer than the test's patience
	awaitDead(t, pid)
	got := b.await("deaf", "become unready", func(p *v1.Pod) bool { return !ready(p) })
	if end := main0(got).LastTerminationState.Terminated; end == nil || end.ExitCode != 137 {
		t.Errorf("pod is %s", describePod(got))
	}
}
