package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

// diary records what happened, in order.
type diary struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (d *diary) note(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, s)
}

// part notes its start and its end; it is ready once it runs.
func (d *diary) part(name string) part {
	ready := make(chan struct{})
	return part{name: name, ready: ready, run: func(ctx context.Context) error {
		d.note("start " + name)
		close(ready)
		<-ctx.Done()
		d.note("stop " + name)
		return nil
	}}
}

func TestSuperviseStopsInReverse(t *testing.T) {
	var d diary
	ctx, cancel := context.WithCancel(t.Context())
	err := supervise(ctx, func() { d.note("started"); cancel() }, d.part("server"), d.part("proxy"), d.part("agent"))
	if err != nil {
		t.Errorf("got %v, want nil", err)
	}
	want := []string{"start server", "start proxy", "start agent", "started", "stop agent", "stop proxy", "stop server"}
	if !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
}

func TestSuperviseFirstFailureStopsAll(t *testing.T) {
	broken := errors.New("broken")
	var d diary
	err := supervise(t.Context(), nil, d.part("server"),
		part{name: "proxy", run: func(context.Context) error { return broken }})
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "proxy: ") {
		t.Errorf("got %v, want the proxy's error under its name", err)
	}
	if want := []string{"start server", "stop server"}; !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
}

func TestSuperviseFailureBeforeReady(t *testing.T) {
	var d diary
	never := part{name: "server", ready: make(chan struct{}),
		run: func(context.Context) error { return errors.New("no port") }}
	err := supervise(t.Context(), func() { d.note("started") }, never, d.part("proxy"))
	if err == nil || err.Error() != "server: no port" {
		t.Errorf("got %v, want server: no port", err)
	}
	if len(d.lines) != 0 {
		t.Errorf("went on to %q", d.lines)
	}
}

func TestSuperviseCancelledWhileStarting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	slow := part{name: "server", ready: make(chan struct{}), run: func(own context.Context) error {
		cancel()
		<-own.Done()
		return own.Err()
	}}
	var d diary
	if err := supervise(ctx, func() { d.note("started") }, slow, d.part("proxy")); err != nil {
		t.Errorf("got %v, want nil: it was told to stop", err)
	}
	if len(d.lines) != 0 {
		t.Errorf("went on to %q", d.lines)
	}
}

func TestSuperviseEndWithoutReason(t *testing.T) {
	err := supervise(t.Context(), nil, part{name: "proxy", run: func(context.Context) error { return nil }})
	if err == nil || err.Error() != "proxy: ended by itself" {
		t.Errorf("got %v, want that it ended by itself", err)
	}
}

func TestSuperviseTellsErrorsOfStopping(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	sticky := part{name: "agent",
		run: func(ctx context.Context) error { <-ctx.Done(); return errors.New("a Pod is left") }}
	err := supervise(ctx, cancel, sticky)
	if err == nil || err.Error() != "stopping the agent: a Pod is left" {
		t.Errorf("got %v, want why stopping failed", err)
	}
}
