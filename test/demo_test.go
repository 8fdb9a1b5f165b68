package test

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	scratch := t.TempDir()
	cmd := viaductCommand(t, "demo")
	cmd.Env = append(cmd.Env, "TMPDIR="+scratch)
	r := finish(t, cmd, "")
	if r.code != 0 {
		t.Fatalf("exit %d:\n%s", r.code, r.all())
	}
	wantText(t, "the tour", r.stdout, "hello-1", "hello-2", "hello-3", "external-service", "HELLO_SERVICE_HOST",
		"$ kubectl", "All claims held")
	if r.stderr != "" {
		t.Errorf("it complains: %s", r.stderr)
	}
	wantEmpty(t, scratch)
}

// An interrupted tour cleans up too.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	scratch := t.TempDir()
	cmd := viaductCommand(t, "demo")
	cmd.Env = append(cmd.Env, "TMPDIR="+scratch)
	r := startProcess(t, cmd)
	r.out.await(t, "pod/hello-3 created", r.ended)
	r.signal(syscall.SIGINT)
	if code := r.wait(); code == 0 || code == -1 {
		t.Errorf("exit %d: an unfinished tour is no success, and a signal is no crash", code)
	}
	if !strings.Contains(r.out.text(), "interrupted") {
		t.Errorf("it does not say that it was interrupted:\n%s", r.out.text())
	}
	wantEmpty(t, scratch)
}

func TestDemoKeep(t *testing.T) {
	t.Parallel()
	scratch := t.TempDir()
	cmd := viaductCommand(t, "demo", "--keep")
	cmd.Env = append(cmd.Env, "TMPDIR="+scratch)
	r := startProcess(t, cmd)
	r.out.await(t, "Everything stays up", r.ended)
	_, rest, _ := strings.Cut(r.out.text(), "export KUBECONFIG=")
	kubeconfig, _, _ := strings.Cut(rest, "\n")
	out := runViaduct(t, "", "kubectl", "--kubeconfig", kubeconfig, "get", "pods", "-o", "name")
	wantText(t, "pods", out.stdout, "pod/hello-1", "pod/hello-2", "pod/hello-3")
	r.signal(syscall.SIGINT)
	if code := r.wait(); code != 0 {
		t.Errorf("exit %d:\n%s", code, r.out.text())
	}
	wantEmpty(t, scratch)
}

// wantEmpty requires that nothing is left in a directory, nor a process that uses it.
func wantEmpty(t testing.TB, dir string) {
	t.Helper()
	if left := processesUsing(dir); len(left) > 0 {
		t.Errorf("left behind: %s", describeAll(left))
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind in %s: %v, %v", dir, entries, err)
	}
}
