package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"

	"viaduct/internal/node/runtime"
	"viaduct/internal/node/runtimetest"
)

func TestReadiness(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), nil)
	flag := filepath.Join(t.TempDir(), "healthy")
	pod := testPod("web", "viaduct", "play", "serve", "$(POD_IP):8080") // which PATH does not have: it is this test
	pod.Spec.Containers[0].Env = []v1.EnvVar{field("POD_IP", "status.podIP"), variable("HEALTH", flag)}
	pod.Spec.Containers[0].Ports = []v1.ContainerPort{{Name: "http", ContainerPort: 8080}}
	pod.Spec.Containers[0].ReadinessProbe = &v1.Probe{PeriodSeconds: 1, FailureThreshold: 1,
		ProbeHandler: v1.ProbeHandler{HTTPGet: &v1.HTTPGetAction{Port: intstr.FromString("http")}}}
	b.create(pod)
	got := b.await("web", "run", func(p *v1.Pod) bool { return main0(p).State.Running != nil })
	if ready(got) || main0(got).Ready {
		t.Error("ready before its probe was answered")
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.await("web", "become ready", ready)
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	got = b.await("web", "become unready", func(p *v1.Pod) bool { return !ready(p) })
	if main0(got).State.Running == nil || main0(got).RestartCount != 0 {
		t.Errorf("an unready pod is %s", describePod(got))
	}
	if message := b.event("Unhealthy"); !strings.Contains(message, "Readiness probe failed") || !strings.Contains(message,
		"503") {
		t.Errorf("event says %q", message)
	}
}

func TestReadinessGate(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), nil)
	pod := shell("gated", "exec sleep 1000")
	pod.Spec.ReadinessGates = []v1.PodReadinessGate{{ConditionType: "example.org/go"}}
	b.create(pod)
	got := b.await("gated", "run", func(p *v1.Pod) bool { return main0(p).Ready })
	if c := find(got.Status.Conditions, v1.PodReady); c.Status != v1.ConditionFalse ||
		c.Reason != "ReadinessGatesNotReady" {
		t.Errorf("Ready is %+v", c)
	}
	b.change("gated", func(p *v1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, v1.PodCondition{Type: "example.org/go", Status: v1.ConditionTrue})
	})
	got = b.await("gated", "become ready", ready)
	if find(got.Status.Conditions, "example.org/go") == nil {
		t.Error("the condition of another writer was lost")
	}
}

func TestLivenessAndStartup(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), nil)
	pod := shell("sick", "exec sleep 1000")
	pod.Spec.Containers[0].LivenessProbe = &v1.Probe{PeriodSeconds: 1, FailureThreshold: 1,
		ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"/bin/sh", "-c", "echo broken; exit 1"}}}}
	b.create(pod)
	late := shell("late", "exec sleep 1000")
	late.Spec.Containers[0].StartupProbe = &v1.Probe{PeriodSeconds: 1,
		ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"true"}}}}
	b.create(late)
	b.await("late", "be ready after its startup probe", ready)
	got := b.await("sick", "restart", func(p *v1.Pod) bool { return main0(p).RestartCount >= 1 })
	if end := main0(got).LastTerminationState.Terminated; end == nil || end.ExitCode != 143 || end.Signal != 15 {
		t.Errorf("pod is %s", describePod(got))
	}
	if message := b.event("Killing"); !strings.Contains(message, "liveness") {
		t.Errorf("Killing says %q", message)
	}
	if message := b.event("Unhealthy"); !strings.Contains(message, "broken") {
		t.Errorf("Unhealthy says %q", message)
	}
}

func TestGraceAndKill(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), nil)
	pipe, read := fifo(t)
	pod := shell("deaf", fmt.Sprintf(
		`trap 'echo asked > %[1]s' TERM; sleep 1000 & echo $! > %[1]s; while :; do wait; done`, pipe))
	b.create(pod)
	b.await("deaf", "become ready", ready)
	child := number(t, read())
	b.mark("deaf", 1)
	if said := read(); said != "asked" {
		t.Errorf("after the deletion the process said %q", said)
	}
	b.await("deaf", "be gone", func(p *v1.Pod) bool { return p == nil })
	awaitDead(t, child)
}

func TestPreStopAndPostStart(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), nil)
	pipe, read := fifo(t)
	say := func(word string) *v1.LifecycleHandler {
		return &v1.LifecycleHandler{Exec: &v1.ExecAction{Command: []string{"/bin/sh", "-c", "echo " + word + " > " + pipe}}}
	}
	pod := shell("hooks", "exec sleep 1000")
	pod.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: say("begun"), PreStop: say("ending")}
	b.create(pod)
	if said := read(); said != "begun" {
		t.Errorf("postStart said %q", said)
	}
	b.await("hooks", "become ready", ready)
	b.mark("hooks", 5)
	if said := read(); said != "ending" {
		t.Errorf("preStop said %q", said)
	}
	b.await("hooks", "be gone", func(p *v1.Pod) bool { return p == nil })
}

func TestInitContainersAndSidecar(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), nil)
	always := v1.ContainerRestartPolicyAlways
	dir := t.TempDir()
	pod := shell("init", "cat "+dir+"/order; echo main >> "+dir+"/order; exit 0")
	pod.Spec.RestartPolicy = v1.RestartPolicyNever
	pod.Spec.InitContainers = []v1.Container{
		{Name: "first", Command: []string{"/bin/sh", "-c", "echo first >> " + dir + "/order"}},
		{Name: "beside", Command: []string{"sleep", "1000"}, RestartPolicy: &always},
		{Name: "second", Command: []string{"/bin/sh", "-c", "echo second >> " + dir + "/order"}},
	}
	b.create(pod)
	got := b.await("init", "succeed, its sidecar stopped", func(p *v1.Pod) bool {
		return p != nil && p.Status.Phase == v1.PodSucceeded && p.Status.InitContainerStatuses[1].State.Terminated != nil
	})
	order, err := os.ReadFile(filepath.Join(dir, "order"))
	if err != nil || string(order) != "first\nsecond\nmain\n" {
		t.Errorf("order %q, %v", order, err)
	}
	if c := find(got.Status.Conditions, v1.PodInitialized); c.Status != v1.ConditionTrue {
		t.Errorf("Initialized is %+v", c)
	}
}

// A program that was asked to end may fail its probe while it ends. That must not cost it the time it was given.
func TestLivenessDoesNotShortenAStop(t *testing.T) {
	pod, soon, until := shell("web", ""), int64(1), time.Now().Add(time.Hour)
	sandbox, err := runtimetest.New().RunPodSandbox(t.Context(), runtime.PodSandboxConfig{UID: "uid-web"})
	if err != nil {
		t.Fatal(err)
	}
	run, err := sandbox.Start(t.Context(), runtime.ContainerConfig{Name: "main", Command: []string{"exit", "0"}})
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{pod: pod, agent: &Agent{metrics: newMetrics()}, inbox: newInbox(pod)}
	c := &container{w: w, spec: &pod.Spec.Containers[0], current: current{run: run, stopping: until}}
	c.giveUp(t.Context(), "liveness", &v1.Probe{TerminationGracePeriodSeconds: &soon})
	if !c.stopping.Equal(until) {
		t.Errorf("it will be killed in %v, want an hour", time.Until(c.stopping))
	}
}
