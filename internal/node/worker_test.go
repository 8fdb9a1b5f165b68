package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"viaduct/internal/node/runtimetest"
)

// The tests of this file run the agent on a fake runtime and in a time that passes only when every goroutine waits. So
// they assert when something happens, to the second, and take no time.

// A fakeBench is an agent on a fake runtime.
type fakeBench struct {
	*bench
	runtime *runtimetest.Runtime
	events  *eventLog
}

func startFake(t *testing.T, containers *runtimetest.Runtime, client *fake.Clientset) fakeBench {
	t.Helper()
	events := &eventLog{}
	client.PrependReactor("create", "events", events.note)
	b := startAgentIn(t, client, "unused", func(o *Options) {
		o.Runtime, o.Backoff, o.ShutdownGrace = containers, 0, 0 // the defaults
	})
	synctest.Wait()
	return fakeBench{bench: b, runtime: containers, events: events}
}

// after lets a time pass, and waits until what was due has been done.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// pod gives the Pod as it is now, or nil.
func (b fakeBench) pod(name string) *v1.Pod {
	b.t.Helper()
	pod, err := b.client.CoreV1().Pods("default").Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return pod
}

// An eventLog notes the reasons of events. The fake API server cannot be asked: an event is named after its time, so it
// refuses all but the first event of one moment.
type eventLog struct {
	mu      sync.Mutex
	reasons []string // guarded by mu
}

func (l *eventLog) note(action k8stesting.Action) (handled bool, _ runtime.Object, _ error) {
	event, ok := action.(k8stesting.CreateAction).GetObject().(*v1.Event)
	if ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.reasons = append(l.reasons, event.Reason)
	}
	return false, nil, nil
}

// sorted gives the reasons so far, each once.
func (l *eventLog) sorted() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(l.reasons)))
}

// A startLog notes when a program was started.
type startLog struct {
	mu sync.Mutex
	at []time.Time // guarded by mu
}

func (l *startLog) note() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = append(l.at, time.Now())
}

// gaps are the times between one start and the next, in seconds.
func (l *startLog) gaps() (seconds []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := 1; i < len(l.at); i++ {
		seconds = append(seconds, int(l.at[i].Sub(l.at[i-1]).Round(time.Second)/time.Second))
	}
	return seconds
}

func TestBackoffDoublesUpToFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, starts := startFake(t, runtimetest.New(), fake.NewClientset()), &startLog{}
		b.runtime.SetProgram("crash", runtimetest.Program{Run: func(*runtimetest.Process) int {
			starts.note()
			return 3
		}})
		b.create(testPod("web", "crash"))
		after(time.Second)
		if w := main0(b.pod("web")).State.Waiting; w == nil || w.Reason != reasonCrashLoop {
			t.Errorf("after two runs the pod is %s", describePod(b.pod("web")))
		}
		after(20 * time.Minute)
		want := []int{0, 10, 20, 40, 80, 160, 300, 300}
		if got := starts.gaps(); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("seconds between starts: %v, want %v", got, want)
		}
	})
}

func TestLongRunForgetsTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, starts := startFake(t, runtimetest.New(), fake.NewClientset()), &startLog{}
		var runs atomic.Int32
		b.runtime.SetProgram("crash", runtimetest.Program{Run: func(p *runtimetest.Process) int {
			starts.note()
			if runs.Add(1) == 4 {
				select {
				case <-time.After(10 * time.Minute):
				case <-p.Killed:
				}
			}
			return 3
		}})
		b.create(testPod("web", "crash"))
		after(15 * time.Minute)
		want := []int{0, 10, 20, 600, 10, 20} // at once after the long run, then as from the first
		if got := starts.gaps(); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("seconds between starts: %v, want %v", got, want)
		}
	})
}

func TestStartFailuresHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startFake(t, runtimetest.New(), fake.NewClientset())
		b.create(testPod("web", "server"))
		after(time.Second)
		status := main0(b.pod("web"))
		if w, end := status.State.Waiting, status.LastTerminationState.Terminated; w == nil ||
			w.Reason != reasonRunError || end == nil || end.ExitCode != 128 || end.Reason != reasonStartError ||
			end.ContainerID != "fake://uid-web/main/0" {
			t.Errorf("after a failed start the pod is %s", describePod(b.pod("web")))
		}
		b.runtime.SetProgram("server", runtimetest.Program{Run: func(p *runtimetest.Process) int {
			<-p.Killed
			return 0
		}})
		after(8 * time.Second)
		if ready(b.pod("web")) {
			t.Error("it was tried again before the back-off of 10 s")
		}
		after(2 * time.Second)
		if got := b.pod("web"); !ready(got) || main0(got).RestartCount != 1 {
			t.Errorf("after the program exists the pod is %s", describePod(got))
		}
		if want := []string{"BackOff", "Created", "Failed", "Started"}; !slices.Equal(b.events.sorted(), want) {
			t.Errorf("events %v, want %v", b.events.sorted(), want)
		}
	})
}

func TestSandboxFailuresHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		containers := runtimetest.New()
		containers.FailSandbox("uid-web", errors.New("no namespaces"))
		b := startFake(t, containers, fake.NewClientset())
		b.create(testPod("web", "sleep"))
		after(time.Second)
		if got := b.pod("web"); got.Status.Phase != v1.PodPending || got.Status.PodIP != "" ||
			!slices.Contains(b.events.sorted(), "FailedCreatePodSandBox") {
			t.Errorf("without a sandbox the pod is %s at %q, events %v", describePod(got), got.Status.PodIP, b.events.sorted())
		}
		containers.FailSandbox("uid-web", nil)
		after(10 * time.Second)
		if got := b.pod("web"); !ready(got) || got.Status.PodIP == "" {
			t.Errorf("with a sandbox the pod is %s", describePod(got))
		}
	})
}

func TestHangAtTermEndsWithTheGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startFake(t, runtimetest.New(), fake.NewClientset())
		b.create(testPod("deaf", "stubborn"))
		b.create(testPod("polite", "sleep"))
		after(time.Second)
		b.mark("deaf", 30)
		b.mark("polite", 30)
		after(time.Second)
		if b.pod("polite") != nil {
			t.Error("a pod that ends at SIGTERM is not gone")
		}
		after(28 * time.Second)
		if b.pod("deaf") == nil {
			t.Error("a pod that ignores SIGTERM was killed before its grace period was over")
		}
		after(2 * time.Second)
		if b.pod("deaf") != nil {
			t.Error("a pod that ignores SIGTERM is not gone after its grace period")
		}
		left, err := b.runtime.Pods()
		if open := b.runtime.Sandboxes(); err != nil || len(open) != 0 || len(left) != 0 {
			t.Errorf("left behind: sandboxes %v, pods %v, %v", open, left, err)
		}
	})
}

func TestShorterGraceBringsTheKillForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startFake(t, runtimetest.New(), fake.NewClientset())
		b.create(testPod("deaf", "stubborn"))
		after(time.Second)
		b.mark("deaf", 3600)
		after(time.Second)
		b.mark("deaf", 5)
		after(4 * time.Second)
		if b.pod("deaf") == nil {
			t.Error("it was killed before the shorter grace period was over")
		}
		after(2 * time.Second)
		if b.pod("deaf") != nil {
			t.Error("it is not gone after the shorter grace period")
		}
	})
}

func TestPreStopIsPartOfTheGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startFake(t, runtimetest.New(), fake.NewClientset())
		pod := testPod("web", "sleep")
		pod.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PreStop: &v1.LifecycleHandler{
			Exec: &v1.ExecAction{Command: []string{"sleep"}}}} // it hangs
		b.create(pod)
		after(time.Second)
		b.mark("web", 20)
		after(19 * time.Second)
		if b.pod("web") == nil {
			t.Error("it was stopped before its hook had the grace period")
		}
		after(2 * time.Second)
		if b.pod("web") != nil || !slices.Contains(b.events.sorted(), "FailedPreStopHook") {
			t.Errorf("after the grace period the pod is %s, events %v", describePod(b.pod("web")), b.events.sorted())
		}
	})
}

func TestLivenessRestartsWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startFake(t, runtimetest.New(), fake.NewClientset())
		var sick atomic.Bool
		b.runtime.SetProgram("healthy", runtimetest.Program{Run: func(*runtimetest.Process) int {
			if sick.Load() {
				return 1
			}
			return 0
		}})
		pod := testPod("web", "sleep")
		exec := v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"healthy"}}}
		pod.Spec.Containers[0].LivenessProbe = &v1.Probe{PeriodSeconds: 10, FailureThreshold: 3, ProbeHandler: exec}
		pod.Spec.Containers[0].ReadinessProbe = &v1.Probe{PeriodSeconds: 5, FailureThreshold: 1, ProbeHandler: exec}
		b.create(pod)
		after(time.Minute)
		if got := b.pod("web"); !ready(got) || main0(got).RestartCount != 0 {
			t.Fatalf("a healthy pod is %s", describePod(got))
		}
		sick.Store(true)
		after(6 * time.Second)
		if got := b.pod("web"); ready(got) || main0(got).RestartCount != 0 {
			t.Errorf("after a failed readiness probe the pod is %s", describePod(got))
		}
		after(25 * time.Second)
		sick.Store(false)
		after(6 * time.Second)
		got := b.pod("web")
		if end := main0(got).LastTerminationState.Terminated; !ready(got) || main0(got).RestartCount != 1 || end == nil ||
			end.ExitCode != 143 {
			t.Errorf("after three failed liveness probes the pod is %s", describePod(got))
		}
		if want := []string{"Created", "Killing", "Started", "Unhealthy"}; !slices.Equal(b.events.sorted(), want) {
			t.Errorf("events %v, want %v", b.events.sorted(), want)
		}
	})
}

func TestShutdownGraceBoundsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startFake(t, runtimetest.New(), fake.NewClientset())
		pod, hour := testPod("deaf", "stubborn"), int64(3600)
		pod.Spec.TerminationGracePeriodSeconds = &hour
		b.create(pod)
		after(time.Second)
		began := time.Now()
		b.stop()
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("the agent ended after %v, want the default grace of 10 s", took)
		}
		if end := main0(b.pod("deaf")).LastTerminationState.Terminated; end == nil || end.ExitCode != 137 {
			t.Errorf("pod is %s", describePod(b.pod("deaf")))
		}
	})
}

func TestNextAgentCountsTheRunsOfTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		containers, client := runtimetest.New(), fake.NewClientset()
		b := startFake(t, containers, client)
		b.create(testPod("web", "sleep"))
		after(time.Second)
		b.stop()
		if w := main0(b.pod("web")).State.Waiting; w == nil || w.Reason != reasonAgentStopped {
			t.Errorf("after the end of the agent the pod is %s", describePod(b.pod("web")))
		}
		again := startFake(t, containers, client)
		after(time.Second)
		if got := again.pod("web"); !ready(got) || main0(got).RestartCount != 1 ||
			main0(got).ContainerID != "fake://uid-web/main/1" {
			t.Errorf("under the next agent the pod is %s", describePod(got))
		}
	})
}
