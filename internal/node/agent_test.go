package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"viaduct/internal/node/runtimetest"
)

func TestRegistersAndSaysGoodbye(t *testing.T) {
	client := fake.NewClientset()
	b := startAgent(t, client, nil)
	b.create(shell("one", "exec sleep 1000"))
	b.await("one", "become ready", ready)
	node, err := client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if node.Labels[v1.LabelHostname] != "n1" || node.Spec.PodCIDR != b.opts.PodCIDR.String() ||
		node.Status.Capacity.Cpu().IsZero() ||
		node.Status.Allocatable.Memory().IsZero() || node.Status.NodeInfo.KubeletVersion != "viaduct" ||
		len(node.Status.Addresses) != 2 {
		t.Errorf("node is %+v", node)
	}
	if c := node.Status.Conditions[0]; c.Type != v1.NodeReady || c.Status != v1.ConditionTrue {
		t.Errorf("condition %+v, want Ready", c)
	}
	lease, err := client.CoordinationV1().Leases("kube-node-lease").Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil || *lease.Spec.LeaseDurationSeconds != 40 || *lease.Spec.HolderIdentity != "n1" {
		t.Errorf("lease %+v, %v", lease, err)
	}
	b.stop()
	node, err = client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c := node.Status.Conditions[0]; c.Status != v1.ConditionFalse || c.Reason != "NodeShutdown" {
		t.Errorf("after the end the node's condition is %+v", c)
	}
	pod := b.await("one", "become unready", func(p *v1.Pod) bool { return !ready(p) })
	if w := main0(pod).State.Waiting; w == nil || w.Reason != reasonAgentStopped || pod.Status.Phase != v1.PodRunning {
		t.Errorf("after the end the pod is %s", describePod(pod))
	}
}

func TestRunsAPod(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), nil)
	pod := shell("web", "exec sleep 1000")
	b.create(pod)
	got := b.await("web", "become ready", ready)
	status := main0(got)
	if got.Status.Phase != v1.PodRunning || status.State.Running == nil || !status.Ready || status.RestartCount != 0 ||
		status.ContainerID != "process://uid-web/main/0" || status.Started == nil || !*status.Started {
		t.Errorf("pod is %s", describePod(got))
	}
	if !strings.HasPrefix(got.Status.PodIP, strings.TrimSuffix(b.opts.PodCIDR.Addr().String(), "0")) ||
		got.Status.HostIP != "127.0.0.1" {
		t.Errorf("podIP %s, hostIP %s", got.Status.PodIP, got.Status.HostIP)
	}
	b.mark("web", 1)
	b.await("web", "be gone", func(p *v1.Pod) bool { return p == nil })
	b.stop()
	if left, err := os.ReadDir(filepath.Join(b.dataDir, "pods")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestEnvironmentEndToEnd(t *testing.T) {
	pipe, read := fifo(t)
	client := fake.NewClientset(service("default", "db", "127.96.0.7", v1.ServicePort{Port: 5432}),
		&v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "conf"},
			Data: map[string]string{"mode": "fast"}})
	t.Setenv("SECRET_OF_THE_AGENT", "x")
	b := startAgent(t, client, nil)
	pod := testPod("web", "/bin/sh", "-c",
		`echo "$POD_IP|$DB_SERVICE_HOST|$1|$mode|$HOSTNAME|$PWD|$LATE_SERVICE_HOST|$SECRET_OF_THE_AGENT" > `+
			pipe+`; exec sleep 1000`)
	pod.Spec.Containers[0].Args = []string{"sh", "$(DB_PORT)"}
	pod.Spec.Containers[0].Env = []v1.EnvVar{field("POD_IP", "status.podIP")}
	pod.Spec.Containers[0].EnvFrom = []v1.EnvFromSource{allOfMap("", "conf", nil)}
	b.create(pod)
	got := b.await("web", "become ready", ready)
	if said, want := read(), got.Status.PodIP+"|127.96.0.7|tcp://127.96.0.7:5432|fast|web|/||"; said != want {
		t.Errorf("the process saw %q, want %q", said, want)
	}
	if _, err := client.CoreV1().Services("default").Create(t.Context(), service("default", "late", "127.96.0.8"),
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	late := testPod("later", pod.Spec.Containers[0].Command...)
	b.create(late)
	if said := read(); !strings.Contains(said, "|127.96.0.8|") {
		t.Errorf("a container started after the Service saw %q", said)
	}
}

func TestRestartsWithBackoff(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), func(o *Options) { o.Backoff = 50 * time.Millisecond })
	b.create(shell("crash", "echo run; exit 3"))
	got := b.await("crash", "back off", func(p *v1.Pod) bool {
		w := main0(p).State.Waiting
		return w != nil && w.Reason == reasonCrashLoop
	})
	last := main0(got).LastTerminationState.Terminated
	if last == nil || last.ExitCode != 3 || last.Reason != reasonError || got.Status.Phase != v1.PodRunning {
		t.Errorf("while backing off the pod is %s", describePod(got))
	}
	b.await("crash", "have restarted thrice", func(p *v1.Pod) bool { return main0(p).RestartCount >= 3 })
	if !strings.HasPrefix(b.log("crash", 2), "run") {
		t.Errorf("log of run 2: %q", b.log("crash", 2))
	}
	if message := b.event("BackOff"); !strings.Contains(message, "code 3") {
		t.Errorf("BackOff says %q", message)
	}
}

func TestRestartPolicies(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), nil)
	tests := []struct {
		name, script string
		policy       v1.RestartPolicy
		phase        v1.PodPhase
		code         int32
		reason       string
	}{
		{"never-good", "exit 0", v1.RestartPolicyNever, v1.PodSucceeded, 0, reasonCompleted},
		{"never-bad", "exit 7", v1.RestartPolicyNever, v1.PodFailed, 7, reasonError},
		{"never-killed", "kill -9 $$$$", v1.RestartPolicyNever, v1.PodFailed, 137, reasonError},
		{"onfailure-good", "exit 0", v1.RestartPolicyOnFailure, v1.PodSucceeded, 0, reasonCompleted},
		{"onfailure-later", `[ -e "$FLAG" ] && exit 0; touch "$FLAG"; exit 1`, v1.RestartPolicyOnFailure, v1.PodSucceeded, 0,
			reasonCompleted},
	}
	flags := t.TempDir()
	for _, tt := range tests {
		pod := shell(tt.name, tt.script)
		pod.Spec.RestartPolicy = tt.policy
		pod.Spec.Containers[0].Env = []v1.EnvVar{variable("FLAG", filepath.Join(flags, tt.name))}
		b.create(pod)
	}
	for _, tt := range tests {
		got := b.await(tt.name, "finish", func(p *v1.Pod) bool { return p != nil && finished(p.Status.Phase) })
		end := main0(got).State.Terminated
		if got.Status.Phase != tt.phase || end == nil || end.ExitCode != tt.code || end.Reason != tt.reason ||
			end.FinishedAt.IsZero() {
			t.Errorf("%s: %s", tt.name, describePod(got))
		}
	}
	if got := b.await("onfailure-later", "exist", func(p *v1.Pod) bool { return p != nil }); main0(got).RestartCount != 1 {
		t.Errorf("onfailure-later: %s", describePod(got))
	}
}

func TestCommandThatCannotRun(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), nil)
	b.create(testPod("missing", "/no/such/program"))
	got := b.await("missing", "fail to start",
		func(p *v1.Pod) bool { return main0(p).LastTerminationState.Terminated != nil })
	status := main0(got)
	if end := status.LastTerminationState.Terminated; end.Reason != reasonStartError || end.ExitCode != 128 ||
		status.State.Waiting == nil ||
		!strings.Contains(status.State.Waiting.Message, "/no/such/program") {
		t.Errorf("pod is %s", describePod(got))
	}
	if message := b.event("Failed"); !strings.Contains(message, "no such file") {
		t.Errorf("event says %q", message)
	}
	if message := b.event("BackOff"); !strings.Contains(message, "could not be started") {
		t.Errorf("event says %q", message)
	}
	b.await("missing", "back off and try again", func(p *v1.Pod) bool {
		w := main0(p).State.Waiting
		return w != nil && w.Reason == reasonCrashLoop && main0(p).RestartCount >= 1
	})
	never := testPod("missing-never", "nosuchprogram")
	never.Spec.RestartPolicy = v1.RestartPolicyNever
	b.create(never)
	got = b.await("missing-never", "fail", func(p *v1.Pod) bool { return p != nil && p.Status.Phase == v1.PodFailed })
	if end := main0(got).State.Terminated; end == nil || end.Reason != reasonStartError {
		t.Errorf("pod is %s", describePod(got))
	}
}

func TestConfigErrorsHeal(t *testing.T) {
	client := fake.NewClientset()
	b := startAgent(t, client, nil)
	b.create(testPod("bare"))
	got := b.await("bare", "be refused", func(p *v1.Pod) bool { return main0(p).State.Waiting != nil })
	if w := main0(got).State.Waiting; w.Reason != reasonConfigError || !strings.Contains(w.Message, "images") ||
		got.Status.Phase != v1.PodPending {
		t.Errorf("pod is %s", describePod(got))
	}
	b.mark("bare", 3600)
	b.await("bare", "be gone at once, as nothing of it ever ran", func(p *v1.Pod) bool { return p == nil })
	pod := shell("conf", "exec sleep 1000")
	pod.Spec.Containers[0].Env = []v1.EnvVar{fromMap("A", "conf", "a", nil)}
	b.create(pod)
	b.await("conf", "wait for its configmap", func(p *v1.Pod) bool {
		w := main0(p).State.Waiting
		return w != nil && w.Reason == reasonConfigError && strings.Contains(w.Message, `"conf" not found`)
	})
	conf := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "conf"},
		Data: map[string]string{"a": "1"}}
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), conf, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := b.await("conf", "become ready", ready); main0(got).RestartCount != 0 {
		t.Errorf("pod is %s", describePod(got))
	}
}

func TestForceDeletedPodIsStopped(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), nil)
	pipe, read := fifo(t)
	b.create(shell("gone", "echo $$$$ > "+pipe+"; exec sleep 1000"))
	pid := number(t, read())
	b.await("gone", "become ready", ready)
	if err := b.client.CoreV1().Pods("default").Delete(t.Context(), "gone", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitDead(t, pid)
}

func TestRestartOfTheAgent(t *testing.T) {
	client := fake.NewClientset()
	b := startAgent(t, client, nil)
	b.create(shell("keeps", "exec sleep 1000"))
	before := b.await("keeps", "become ready", ready)
	b.stop()
	again := startAgentIn(t, client, b.dataDir, func(o *Options) { o.PodCIDR = b.opts.PodCIDR })
	after := again.await("keeps", "be ready again", ready)
	if after.Status.PodIP != before.Status.PodIP || main0(after).RestartCount != 1 {
		t.Errorf("had %s, now %s; %s", before.Status.PodIP, after.Status.PodIP, describePod(after))
	}
}

func TestRuntimeNone(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), func(o *Options) { o.Runtime = nil })
	pod := shell("by-hand", "exec sleep 1000")
	pod.Status.Phase = v1.PodRunning
	b.create(pod)
	b.mark("by-hand", 30)
	b.await("by-hand", "be gone", func(p *v1.Pod) bool { return p == nil })
	for _, action := range b.client.Actions() {
		if action.GetSubresource() == "status" && action.GetResource().Resource == "pods" {
			t.Errorf("an agent without a runtime wrote a pod's status: %v", action)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	good := Options{NodeName: "n", PodCIDR: testCIDR(), Runtime: runtimetest.New()}
	if _, err := New(fake.NewClientset(), good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"no name": func(o *Options) { o.NodeName = "" }, "no range": func(o *Options) { o.PodCIDR = Options{}.PodCIDR },
	} {
		opts := good
		spoil(&opts)
		if _, err := New(fake.NewClientset(), opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRunAsUser(t *testing.T) {
	b := startAgent(t, fake.NewClientset(), nil)
	pod := shell("other", "id -u; id -g; exec sleep 1000")
	uid := int64(os.Getuid() + 65534)
	pod.Spec.Containers[0].SecurityContext = &v1.SecurityContext{RunAsUser: &uid, RunAsGroup: &uid}
	pod.Spec.Containers[0].StartupProbe = &v1.Probe{PeriodSeconds: 1,
		ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"true"}}}}
	b.create(pod)
	if os.Getuid() != 0 {
		got := b.await("other", "be refused", func(p *v1.Pod) bool { return main0(p).State.Waiting != nil })
		if w := main0(got).State.Waiting; w.Reason != reasonConfigError || !strings.Contains(w.Message, "must be root") {
			t.Errorf("without root a pod of another user is %s", describePod(got))
		}
		return
	}
	b.await("other", "become ready", ready)
	if said := b.log("other", 0); said != "65534\n65534\n" {
		t.Errorf("it ran as %q", said)
	}
}
