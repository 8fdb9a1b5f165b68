package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

var errAwait = errors.New("the watch ended")

// await waits until wanted accepts the Pod; a nil Pod means that it does not exist.
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

// mark marks the Pod as being deleted, as the API server does with a running Pod.
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

// event waits for an event with a reason and gives its message.
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

// log gives the log of run n of the main container.
func (b *bench) log(name string, n int) string {
	b.t.Helper()
	path := filepath.Join(b.dataDir, "pods", "uid-"+name, "main", strconv.Itoa(n)+".log")
	raw, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(raw)
}

// fifo makes a named pipe. A Pod's process writes to it, and the test waits for it by reading.
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
			t.Fatalf("waiting for output of a process: %v", err)
		}
		return strings.TrimSpace(string(buffer[:n]))
	}
}

// awaitDead waits until a process has ended (a zombie has).
func awaitDead(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil || strings.Contains(string(raw), ") Z ") {
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
