package process

import (
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
	})
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
