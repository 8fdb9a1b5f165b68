package node

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"viaduct/internal/node/process"
)

// playAgent is an agent in a process of its own: DATADIR CIDR POD, the Pod as JSON. It prints the Pod when it is ready,
// and goes on until it is killed.
func playAgent(args []string) int {
	var pod v1.Pod
	if err := json.Unmarshal([]byte(args[2]), &pod); err != nil {
		fmt.Println(err)
		return 1
	}
	client := fake.NewClientset(&pod)
	processes, err := process.New(process.Options{DataDir: args[0], Log: quiet()})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	agent, err := New(client, Options{NodeName: "n1", Runtime: processes, PodCIDR: netip.MustParsePrefix(args[1]),
		Log: quiet()})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go func() { fmt.Println(agent.Run(context.Background())) }()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		now, err := client.CoreV1().Pods("default").Get(context.Background(), pod.Name, metav1.GetOptions{})
		if err == nil && ready(now) {
			raw, _ := json.Marshal(now) // what was unmarshalled can be marshalled
			fmt.Println(string(raw))
			time.Sleep(patience) // to be killed: nothing can be awaited
		}
	}
	return 1
}

// killedAgent runs the Pod under an agent of its own process, kills that agent when the Pod is ready, and gives the
// Pod.
func killedAgent(t *testing.T, dataDir string, cidr netip.Prefix, pod *v1.Pod) *v1.Pod {
	t.Helper()
	raw, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(myself(t), "play", "agent", dataDir, cidr.String(), string(raw))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if killErr := cmd.Process.Kill(); err != nil || killErr != nil {
		t.Fatalf("the agent said %q: %v; killing it: %v", line, err, killErr)
	}
	_ = cmd.Wait() // it was killed
	var was v1.Pod
	if err := json.Unmarshal([]byte(line), &was); err != nil {
		t.Fatalf("the agent said %q: %v", line, err)
	}
	return &was
}

// pidsIn reads the numbers that a Pod's script put into a file, one a line.
func pidsIn(t *testing.T, path string) (pids []int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Fields(string(raw)) {
		pids = append(pids, number(t, line))
	}
	return pids
}

func TestKilledAgentLeavesNoOrphans(t *testing.T) {
	dataDir, cidr, pids := t.TempDir(), testCIDR(), filepath.Join(t.TempDir(), "pids")
	pod := shell("crash", strings.Join([]string{
		`echo $$$$ >> ` + pids,
		`sleep 1000 & echo $! >> ` + pids,        // stays in the group, and is marked
		`env -i sleep 1000 & echo $! >> ` + pids, // stays in the group, but took the mark off
		`setsid sleep 1000 & echo $! >> ` + pids, // left the group, but is marked
		`touch ` + pids + `.done; wait`,
	}, "\n"))
	pod.Spec.Containers[0].ReadinessProbe = &v1.Probe{PeriodSeconds: 1,
		ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"test", "-e", pids + ".done"}}}}
	was := killedAgent(t, dataDir, cidr, pod)
	left := pidsIn(t, pids)
	if len(left) != 4 {
		t.Fatalf("the pod had processes %v, want 4", left)
	}
	awaitDead(t, left[0]) // by the kernel, with its agent
	for _, pid := range left[1:] {
		if err := unix.Kill(pid, 0); err != nil {
			t.Fatalf("process %d did not outlive its agent, so this test shows nothing: %v", pid, err)
		}
	}
	if err := os.Remove(pids); err != nil {
		t.Fatal(err)
	}
	b := startAgentIn(t, fake.NewClientset(was), dataDir, func(o *Options) { o.PodCIDR = cidr })
	got := b.await("crash", "be ready again", func(p *v1.Pod) bool { return ready(p) && main0(p).RestartCount > 0 })
	for _, pid := range left {
		awaitDead(t, pid)
	}
	last := main0(got).LastTerminationState.Terminated
	if main0(got).RestartCount != 1 || last == nil || last.ExitCode != 137 || got.Status.PodIP != was.Status.PodIP {
		t.Errorf("after the restart the pod is %s at %s, was at %s", describePod(got), got.Status.PodIP, was.Status.PodIP)
	}
	now := pidsIn(t, pids)
	if len(now) != 4 {
		t.Errorf("after the restart the pod has processes %v, want 4: once, and not twice", now)
	}
	b.stop()
	for _, pid := range now {
		awaitDead(t, pid)
	}
}

func TestKilledBeforeItsStatusWasWritten(t *testing.T) {
	dataDir, cidr := t.TempDir(), testCIDR()
	pod := shell("crash", "exec sleep 1000")
	killedAgent(t, dataDir, cidr, pod)
	b := startAgentIn(t, fake.NewClientset(pod), dataDir, func(o *Options) { o.PodCIDR = cidr })
	if got := b.await("crash", "become ready", ready); main0(got).RestartCount != 1 {
		t.Errorf("the run that the API never heard of was not counted: %s", describePod(got))
	}
}

func TestKilledAgentDoesNotRunAPodAgainThatMayRunOnce(t *testing.T) {
	dataDir, cidr := t.TempDir(), testCIDR()
	pod := shell("once", "exec sleep 1000")
	pod.Spec.RestartPolicy = v1.RestartPolicyNever
	was := killedAgent(t, dataDir, cidr, pod)
	b := startAgentIn(t, fake.NewClientset(was), dataDir, func(o *Options) { o.PodCIDR = cidr })
	got := b.await("once", "fail", func(p *v1.Pod) bool { return p != nil && p.Status.Phase == v1.PodFailed })
	if end := main0(got).State.Terminated; end == nil || end.Reason != reasonAgentDied || main0(got).RestartCount != 0 {
		t.Errorf("pod is %s", describePod(got))
	}
}

func TestStrayDirectoriesGo(t *testing.T) {
	dataDir := t.TempDir()
	stray := filepath.Join(dataDir, "pods", "uid-of-old")
	if err := os.MkdirAll(stray, 0o700); err != nil {
		t.Fatal(err)
	}
	b := startAgentIn(t, fake.NewClientset(), dataDir, nil)
	b.create(shell("new", "exec sleep 1000"))
	b.await("new", "become ready", ready)
	if _, err := os.Stat(stray); !os.IsNotExist(err) {
		t.Errorf("the directory of a pod that is no more: %v", err)
	}
	info, err := os.Stat(filepath.Join(dataDir, "pods", "uid-new", "main", "0.log"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("log: %v, %v", info, err)
	}
}
