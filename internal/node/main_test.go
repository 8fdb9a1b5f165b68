package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
)

// patience bounds what a test waits for; on a healthy machine everything takes milliseconds.
const patience = 20 * time.Second

// TestMain lets the test binary play the programs that Pods run, and an agent that can be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "play" {
		os.Exit(play(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

func play(part string, args []string) int {
	switch part {
	case "serve": // serve ADDRESS: HTTP, healthy as long as the file HEALTH names exists
		health := os.Getenv("HEALTH")
		http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			if _, err := os.Stat(health); health != "" && err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		fmt.Println(http.ListenAndServe(args[0], nil))
		return 1
	case "agent": // agent DATADIR NODE CIDR PODFILE: the Pod of the file on a fake API, until killed
		return playAgent(args)
	}
	return 2
}

func myself(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var testNumber atomic.Int32

// testCIDR gives a range of loopback addresses that no other test and no other test process uses.
func testCIDR() netip.Prefix {
	pid := os.Getpid()
	third := byte(pid>>7&1<<7) | byte(testNumber.Add(1)&0x7f)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 140 + byte(pid%100), third, 0}), 24)
}

// A bench is an agent on a fake API server.
type bench struct {
	t      *testing.T
	client *fake.Clientset
	agent  *Agent
	opts   Options
	stop   func()
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// startAgent starts an agent that is stopped with the test.
func startAgent(t *testing.T, client *fake.Clientset, set func(*Options)) *bench {
	t.Helper()
	opts := Options{NodeName: "n1", PodCIDR: testCIDR(), Log: quiet(), Backoff: 20 * time.Millisecond, ShutdownGrace: 2 * time.Second}
	if set != nil {
		set(&opts)
	}
	if opts.DataDir == "" {
		opts.DataDir = t.TempDir()
	}
	agent, err := New(client, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	stopped := false
	b := &bench{t: t, client: client, agent: agent, opts: opts}
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("agent ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("agent did not end")
		}
	}
	t.Cleanup(b.stop)
	return b
}

// testPod is a Pod bound to the agent's Node, with one container that runs command.
func testPod(name string, command ...string) *v1.Pod {
	links, grace := true, int64(1)
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Spec: v1.PodSpec{
			NodeName: "n1", EnableServiceLinks: &links, RestartPolicy: v1.RestartPolicyAlways, TerminationGracePeriodSeconds: &grace,
			Containers: []v1.Container{{Name: "main", Image: "example.org/x", Command: command}},
		},
	}
}

func shell(name, script string) *v1.Pod { return testPod(name, "/bin/sh", "-c", script) }

func (b *bench) create(pod *v1.Pod) *v1.Pod {
	b.t.Helper()
	made, err := b.client.CoreV1().Pods(pod.Namespace).Create(context.Background(), pod, metav1.CreateOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return made
}

var errAwait = errors.New("the watch ended")

// await waits until the Pod is as wanted; a nil Pod means that there is none.
func (b *bench) await(name, what string, wanted func(*v1.Pod) bool) *v1.Pod {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pods := b.client.CoreV1().Pods("default")
	changes, err := pods.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	defer changes.Stop()
	for {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			pod = nil
		}
		if wanted(pod) {
			return pod
		}
		if err := nextChange(ctx, changes); err != nil {
			b.t.Fatalf("waiting for pod %s to %s: %v; it is %s", name, what, err, describePod(pod))
		}
	}
}

func nextChange(ctx context.Context, changes watch.Interface) error {
	select {
	case _, open := <-changes.ResultChan():
		if !open {
			return errAwait
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func describePod(pod *v1.Pod) string {
	if pod == nil {
		return "not there"
	}
	return fmt.Sprintf("%s: %+v", pod.Status.Phase, pod.Status.ContainerStatuses)
}

func ready(pod *v1.Pod) bool {
	if pod == nil {
		return false
	}
	c := find(pod.Status.Conditions, v1.PodReady)
	return c != nil && c.Status == v1.ConditionTrue
}

func main0(pod *v1.Pod) v1.ContainerStatus {
	if pod == nil || len(pod.Status.ContainerStatuses) == 0 {
		return v1.ContainerStatus{}
	}
	return pod.Status.ContainerStatuses[0]
}

// mark makes the Pod one that is being deleted, as the API server does when a running Pod is deleted.
func (b *bench) mark(name string, grace int64) {
	b.t.Helper()
	at := metav1.Now()
	b.change(name, func(pod *v1.Pod) { pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &at, &grace })
}

func (b *bench) change(name string, how func(*v1.Pod)) {
	b.t.Helper()
	pods := b.client.CoreV1().Pods("default")
	pod, err := pods.Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	how(pod)
	if _, err := pods.Update(context.Background(), pod, metav1.UpdateOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

// event waits for an event of that reason and gives its message.
func (b *bench) event(reason string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	events := b.client.CoreV1().Events("default")
	changes, err := events.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	defer changes.Stop()
	for {
		list, err := events.List(ctx, metav1.ListOptions{})
		if err != nil {
			b.t.Fatal(err)
		}
		seen := []string{}
		for _, e := range list.Items {
			if e.Reason == reason {
				return e.Message
			}
			seen = append(seen, e.Reason)
		}
		if err := nextChange(ctx, changes); err != nil {
			b.t.Fatalf("waiting for an event %s: %v; there are %v", reason, err, seen)
		}
	}
}

// log gives what run n of the main container wrote.
func (b *bench) log(name string, n int) string {
	b.t.Helper()
	path := filepath.Join(b.opts.DataDir, "pods", "uid-"+name, "main", strconv.Itoa(n)+".log")
	raw, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(raw)
}

// fifo makes a pipe with a name: a test reads from it what a Pod's process wrote, and so waits for it.
func fifo(t *testing.T) (path string, read func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pipe.Close() })
	return path, func() string {
		t.Helper()
		if err := pipe.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 4096)
		n, err := pipe.Read(buffer)
		if err != nil {
			t.Fatalf("waiting for a word from a process: %v", err)
		}
		return strings.TrimSpace(string(buffer[:n]))
	}
}

// awaitDead waits until a process has ended (a zombie has).
func awaitDead(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if s, err := readStat(pid); err != nil || s.Zombie {
			return
		}
	}
	t.Errorf("process %d still runs", pid)
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
