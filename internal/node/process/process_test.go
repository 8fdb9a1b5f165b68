package process

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"viaduct/internal/node/runtime"
	"viaduct/internal/node/runtimetest"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newRuntime(t *testing.T) *Runtime {
	t.Helper()
	r, err := New(Options{DataDir: t.TempDir(), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestProcessConforms(t *testing.T) {
	shell := func(script string, args ...string) []string {
		return append([]string{"/bin/sh", "-c", script, "sh"}, args...)
	}
	runtimetest.Run(t, runtimetest.Subject{
		New:      func(t *testing.T) runtime.Runtime { return newRuntime(t) },
		Exit:     func(code string) []string { return shell("exit " + code) },
		Print:    func(line string) []string { return shell(`echo "$1"`, line) },
		Sleep:    shell("exec sleep 1000"),
		Stubborn: shell("trap '' TERM; echo ready; while :; do sleep 1000; done"),
		Cat:      []string{"cat"},
		Missing:  []string{"/no/such/program"},
		Winsize:  shell(`until set -- $(stty size) && [ "$1" != 0 ]; do :; done; echo "$2x$1"`),
	})
}

// A process group that has worked has used processor time and memory.
func TestStatsOfAGroup(t *testing.T) {
	r, ctx := newRuntime(t), t.Context()
	if err := r.Open(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() }) // it never fails
	sandbox, err := r.RunPodSandbox(ctx, runtime.PodSandboxConfig{UID: "uid", Hostname: "web"})
	if err != nil {
		t.Fatal(err)
	}
	script := `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo worked; sleep 1000; exit`
	c, err := sandbox.Start(ctx, runtime.ContainerConfig{Name: "main", Command: []string{"/bin/sh", "-c", script}})
	if err != nil {
		t.Fatal(err)
	}
	follow, cancel := context.WithCancel(ctx)
	run := runtime.ContainerRun{PodUID: "uid", Container: "main"}
	if err := r.Logs(follow, run, runtime.LogOptions{Follow: true}, writerFunc(cancel)); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Stats(ctx); err != nil || got.CPU <= 0 || got.Memory == 0 || got.At.IsZero() {
		t.Errorf("stats of a group that worked: %+v, %v", got, err)
	}
}

// A writerFunc is called when something is written to it.
type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) {
	if len(p) > 0 {
		f()
	}
	return len(p), nil
}

func TestNewRefuses(t *testing.T) {
	for name, opts := range map[string]Options{
		"no directory": {},
		"user":         {DataDir: t.TempDir(), RunAs: "nobody-of-that-name"},
		"group":        {DataDir: t.TempDir(), RunAs: "0:no-such-group"},
	} {
		if _, err := New(opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
