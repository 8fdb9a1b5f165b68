package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A journal records events in order.
type journal struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, s)
}

// component records its start and its end. It is ready once it runs.
func (j *journal) component(name string) Component {
	ready := make(chan struct{})
	return Component{Name: name, Ready: ready, Run: func(ctx context.Context) error {
		j.add("start " + name)
		close(ready)
		<-ctx.Done()
		j.add("stop " + name)
		return nil
	}}
}

func TestStopsInReverseOrder(t *testing.T) {
	var j journal
	ctx, cancel := context.WithCancel(t.Context())
	err := Run(ctx, func() { j.add("started"); cancel() }, j.component("server"), j.component("proxy"),
		j.component("agent"))
	if err != nil {
		t.Errorf("got %v, want nil", err)
	}
	want := []string{"start server", "start proxy", "start agent", "started", "stop agent", "stop proxy", "stop server"}
	if !slices.Equal(j.lines, want) {
		t.Errorf("got %q, want %q", j.lines, want)
	}
}

func TestFirstFailureStopsAll(t *testing.T) {
	broken := errors.New("broken")
	var j journal
	err := Run(t.Context(), nil, j.component("server"),
		Component{Name: "proxy", Run: func(context.Context) error { return broken }})
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "proxy: ") {
		t.Errorf("got %v, want the proxy's error under its name", err)
	}
	if want := []string{"start server", "stop server"}; !slices.Equal(j.lines, want) {
		t.Errorf("got %q, want %q", j.lines, want)
	}
}

func TestFailureBeforeReady(t *testing.T) {
	var j journal
	never := Component{Name: "server", Ready: make(chan struct{}),
		Run: func(context.Context) error { return errors.New("no port") }}
	err := Run(t.Context(), func() { j.add("started") }, never, j.component("proxy"))
	if err == nil || err.Error() != "server: no port" {
		t.Errorf("got %v, want server: no port", err)
	}
	if len(j.lines) != 0 {
		t.Errorf("went on to %q", j.lines)
	}
}

func TestCancelledWhileStarting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	slow := Component{Name: "server", Ready: make(chan struct{}), Run: func(own context.Context) error {
		cancel()
		<-own.Done()
		return own.Err()
	}}
	var j journal
	if err := Run(ctx, func() { j.add("started") }, slow, j.component("proxy")); err != nil {
		t.Errorf("got %v, want nil: it was told to stop", err)
	}
	if len(j.lines) != 0 {
		t.Errorf("went on to %q", j.lines)
	}
}

func TestUnexpectedEnd(t *testing.T) {
	err := Run(t.Context(), nil, Component{Name: "proxy", Run: func(context.Context) error { return nil }})
	if err == nil || err.Error() != "proxy: ended unexpectedly" {
		t.Errorf("got %v, want that it ended unexpectedly", err)
	}
}

func TestReturnsErrorsOfStopping(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	sticky := Component{Name: "agent",
		Run: func(ctx context.Context) error { <-ctx.Done(); return errors.New("a Pod is left") }}
	err := Run(ctx, cancel, sticky)
	if err == nil || err.Error() != "stopping the agent: a Pod is left" {
		t.Errorf("got %v, want why stopping failed", err)
	}
}
