package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"viaduct/internal/node/process"
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
	t       *testing.T
	client  *fake.Clientset
	agent   *Agent
	opts    Options
	dataDir string
	stop    func()
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// startAgent starts an agent whose containers are processes, with a data directory of its own. It is stopped with the
// test.
func startAgent(t *testing.T, client *fake.Clientset, set func(*Options)) *bench {
	t.Helper()
	return startAgentIn(t, client, t.TempDir(), set)
}

func startAgentIn(t *testing.T, client *fake.Clientset, dataDir string, set func(*Options)) *bench {
	t.Helper()
	processes, err := process.New(process.Options{DataDir: dataDir, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{NodeName: "n1", Runtime: processes, PodCIDR: testCIDR(), Log: quiet(),
		Backoff: 20 * time.Millisecond, ShutdownGrace: 2 * time.Second}
	if set != nil {
		set(&opts)
	}
	agent, err := New(client, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	stopped := false
	b := &bench{t: t, client: client, agent: agent, opts: opts, dataDir: dataDir}
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
			NodeName: "n1", EnableServiceLinks: &links, RestartPolicy: v1.RestartPolicyAlways,
			TerminationGracePeriodSeconds: &grace,
			Containers:                    []v1.Container{{Name: "main", Image: "example.org/x", Command: command}},
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
