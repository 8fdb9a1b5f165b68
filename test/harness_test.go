package test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"viaduct/internal/addressrange"
)

// patience bounds how long anything may take that a test waits for. It is wide, for a machine that is busy with other
// tests.
const patience = 40 * time.Second

// A transcript collects what a process prints, and wakes those who wait for a piece of it.
type transcript struct {
	mu      sync.Mutex
	lines   []byte        // guarded by mu
	changed chan struct{} // guarded by mu; closed at the next write
}

func (w *transcript) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, p...)
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
	return len(p), nil
}

func (w *transcript) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.lines)
}

// await waits until the transcript contains piece, and fails the test if it does not in time, or if ended closes
// before.
func (w *transcript) await(t testing.TB, piece string, ended <-chan struct{}) {
	t.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		text, changed := string(w.lines), w.changed
		w.mu.Unlock()
		if strings.Contains(text, piece) {
			return
		}
		select {
		case <-changed:
		case <-ended:
			ended = nil // what it printed last may still come
			if !strings.Contains(w.text(), piece) {
				t.Fatalf("it ended without saying %q:\n%s", piece, w.text())
			}
		case <-deadline:
			t.Fatalf("it did not say %q:\n%s", piece, w.text())
		}
	}
}

// reserveRanges takes address ranges that no other test uses, in this process or another, until the test ends.
func reserveRanges(t testing.TB) *addressrange.Reservation {
	t.Helper()
	r, err := addressrange.Reserve(160, 249)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Release)
	return r
}

// A host is a machine with one data directory, on which viaduct is started and stopped.
type host struct {
	t         testing.TB
	dir       string
	addresses *addressrange.Reservation
}

func newHost(t testing.TB) *host {
	t.Helper()
	return &host{t: t, dir: filepath.Join(t.TempDir(), "data"), addresses: reserveRanges(t)}
}

// start runs `viaduct up` until it is ready.
func (h *host) start(args ...string) *running {
	h.t.Helper()
	args = slices.Concat([]string{"up", "--data-dir", h.dir, "--listen", "127.0.0.1:0", "--node-name", nodeName},
		h.addresses.Flags(), args)
	r := startProcess(h.t, viaductCommand(h.t, args...))
	r.out.await(h.t, "ready in", r.ended)
	return r
}

// startServer runs `viaduct server`, the API alone, until it is ready.
func (h *host) startServer(args ...string) *running {
	h.t.Helper()
	args = slices.Concat([]string{"server", "--data-dir", h.dir, "--listen", "127.0.0.1:0", "--service-cidr",
		h.addresses.Services.String()}, args)
	r := startProcess(h.t, viaductCommand(h.t, args...))
	r.out.await(h.t, "ready in", r.ended)
	return r
}

const nodeName = "here"

// up is what most tests begin with: a host of their own on which everything runs.
func up(t testing.TB, args ...string) *host {
	t.Helper()
	h := newHost(t)
	r := h.start(args...)
	t.Cleanup(func() { h.stop(r) })
	return h
}

// stop ends viaduct as Ctrl-C would, and requires that it exits well and leaves nothing behind.
func (h *host) stop(r *running) {
	h.t.Helper()
	if r.hasEnded() {
		return
	}
	r.signal(syscall.SIGTERM)
	if code := r.wait(); code != 0 {
		h.t.Errorf("viaduct up exits %d after SIGTERM:\n%s", code, r.out.text())
	}
	h.wantNothingLeft()
}

// A running is a process of a test. It is killed when the test ends, if it did not end before.
type running struct {
	t     testing.TB
	cmd   *exec.Cmd
	out   *transcript // both its outputs
	ended chan struct{}
}

func startProcess(t testing.TB, cmd *exec.Cmd) *running {
	t.Helper()
	r := &running{t: t, cmd: cmd, out: &transcript{}, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = r.out, r.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait() // how it ended is read from ProcessState
		close(r.ended)
	}()
	t.Cleanup(func() {
		if !r.hasEnded() {
			r.signal(syscall.SIGKILL)
			<-r.ended
		}
		if t.Failed() {
			t.Logf("%v said:\n%s", cmd.Args[:2], r.out.text())
		}
	})
	return r
}

func (r *running) hasEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

func (r *running) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Errorf("sending %s to %d: %v", s, r.cmd.Process.Pid, err)
	}
}

// wait waits for the end of the process and gives its exit code, -1 for a signal.
func (r *running) wait() int {
	r.t.Helper()
	select {
	case <-r.ended:
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		r.t.Fatalf("%v does not end:\n%s", r.cmd.Args, r.out.text())
		return -1
	}
}

// eventually polls what has no event to wait for: processes and sockets.
func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// client is the API by the data directory's kubeconfig.
func (h *host) client() kubernetes.Interface {
	h.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(h.dir, "kubeconfig"))
	if err != nil {
		h.t.Fatal(err)
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{} // that Endpoints are deprecated is known
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		h.t.Fatal(err)
	}
	return client
}

// tryKubectl runs kubectl, however that ends.
func (h *host) tryKubectl(stdin string, args ...string) result {
	h.t.Helper()
	return runViaduct(h.t, stdin, append([]string{"kubectl", "--data-dir", h.dir}, args...)...)
}

// kubectl runs kubectl, which must exit 0, and gives what it prints.
func (h *host) kubectl(args ...string) string {
	h.t.Helper()
	r := h.tryKubectl("", args...)
	if r.code != 0 {
		h.t.Fatalf("kubectl %s: exit %d\n%s", strings.Join(args, " "), r.code, r.all())
	}
	return r.stdout
}

// apply applies a manifest, which must be accepted.
func (h *host) apply(manifest string, args ...string) string {
	h.t.Helper()
	r := h.tryKubectl(manifest, append([]string{"apply", "-f", "-"}, args...)...)
	if r.code != 0 {
		h.t.Fatalf("kubectl apply: exit %d\n%s\nof:\n%s", r.code, r.all(), manifest)
	}
	return r.stdout
}

// waitFor is `kubectl wait`.
func (h *host) waitFor(args ...string) {
	h.t.Helper()
	h.kubectl(append([]string{"wait", fmt.Sprintf("--timeout=%s", patience)}, args...)...)
}
