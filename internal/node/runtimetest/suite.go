package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"viaduct/internal/node/runtime"
)

// patience bounds what the suite waits for. On a healthy machine everything takes milliseconds.
const patience = 20 * time.Second

// A Subject is a runtime under test, with commands that its containers can run.
type Subject struct {
	New func(t *testing.T) runtime.Runtime // keeps nothing of earlier tests; not open yet

	Exit     func(code string) []string // ends with the code
	Print    func(line string) []string // prints the line and ends with code 0
	Sleep    []string                   // runs until a signal ends it
	Stubborn []string                   // ignores SIGTERM, then prints "ready" and runs until it is killed
	Cat      []string                   // copies its input to its output
	Missing  []string                   // cannot be started
	Winsize  []string                   // prints WIDTHxHEIGHT once its terminal has a size; nil: there are no terminals
}

// Run is the conformance suite of a runtime.
func Run(t *testing.T, s Subject) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"exit codes", exitCodes}, {"signals", signals}, {"what cannot be started", startErrors},
		{"logs", logs}, {"logs are followed", followedLogs}, {"exec", execs}, {"exec ends with its context", endedExec},
		{"exec with a terminal", terminals}, {"attach", attaches}, {"stats", measures}, {"what is kept", keeps},
		{"close ends containers", closes},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newFixture(t, s)) })
	}
}

// A fixture is an open runtime with the sandbox of one Pod.
type fixture struct {
	Subject
	t       *testing.T
	ctx     context.Context
	runtime runtime.Runtime
	sandbox runtime.PodSandbox
	close   func()
}

const pod = "uid-of-pod"

func newFixture(t *testing.T, s Subject) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r := s.New(t)
	if err := r.Open(ctx); err != nil {
		t.Fatal(err)
	}
	sandbox, err := r.RunPodSandbox(ctx, runtime.PodSandboxConfig{UID: pod, Hostname: "web", HostNetwork: true})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Subject: s, t: t, ctx: ctx, runtime: r, sandbox: sandbox}
	closed := false
	f.close = func() {
		if closed {
			return
		}
		closed = true
		if err := errors.Join(sandbox.Close(), r.Close()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { f.close(); cancel() })
	return f
}

// start starts run attempt of the container "main".
func (f *fixture) start(attempt int32, command []string) runtime.Container {
	f.t.Helper()
	c, err := f.sandbox.Start(f.ctx, runtime.ContainerConfig{Name: "main", Attempt: attempt, Command: command})
	if err != nil {
		f.t.Fatalf("starting %q: %v", command, err)
	}
	return c
}

func (f *fixture) wait(c runtime.Container) runtime.Exit {
	f.t.Helper()
	exit, err := c.Wait(f.ctx)
	if err != nil {
		f.t.Fatalf("waiting for %s: %v", c.ID(), err)
	}
	return exit
}

func (f *fixture) signal(c runtime.Container, sig syscall.Signal) {
	f.t.Helper()
	if err := c.Signal(sig); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) logs(attempt int32, opts runtime.LogOptions) string {
	f.t.Helper()
	var out bytes.Buffer
	run := runtime.ContainerRun{PodUID: pod, Container: "main", Attempt: attempt}
	if err := f.runtime.Logs(f.ctx, run, opts, &out); err != nil {
		f.t.Fatal(err)
	}
	return out.String()
}

func exitCodes(t *testing.T, f *fixture) {
	for attempt, code := range []string{"0", "3", "255"} {
		c := f.start(int32(attempt), f.Exit(code))
		exit := f.wait(c)
		if want := []int32{0, 3, 255}[attempt]; exit.Code != want || exit.Signal != 0 || exit.Started.IsZero() ||
			exit.Finished.Before(exit.Started) {
			t.Errorf("exit %s gave %+v", code, exit)
		}
		f.signal(c, syscall.SIGTERM) // no error after the end
	}
}

func signals(t *testing.T, f *fixture) {
	c := f.start(0, f.Sleep)
	done, cancel := context.WithCancel(f.ctx)
	cancel()
	if _, err := c.Wait(done); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait for a container that runs, after the end of its context: %v", err)
	}
	f.signal(c, syscall.SIGTERM)
	if exit := f.wait(c); exit.Code != 143 || exit.Signal != 15 {
		t.Errorf("SIGTERM gave %+v, want code 143 and signal 15", exit)
	}
	stubborn := f.start(1, f.Stubborn)
	f.awaitLog(1, "ready")
	f.signal(stubborn, syscall.SIGTERM)
	if code, err := stubborn.Exec(f.ctx, f.Exit("0"), runtime.Streams{}); err != nil || code != 0 {
		t.Errorf("a command beside a container that ignores SIGTERM: code %d, %v", code, err)
	}
	f.signal(stubborn, syscall.SIGKILL)
	if exit := f.wait(stubborn); exit.Code != 137 || exit.Signal != 9 {
		t.Errorf("SIGKILL gave %+v, want code 137 and signal 9", exit)
	}
}

// awaitLog waits until a run has printed a line.
func (f *fixture) awaitLog(attempt int32, line string) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	out := &watcher{want: line + "\n", found: cancel}
	run := runtime.ContainerRun{PodUID: pod, Container: "main", Attempt: attempt}
	if err := f.runtime.Logs(ctx, run, runtime.LogOptions{Follow: true}, out); err != nil {
		f.t.Fatal(err)
	}
	if !strings.Contains(out.text.String(), out.want) {
		f.t.Fatalf("waiting for %q: the log is %q", line, out.text.String())
	}
}

// A watcher calls found once the text written to it holds want.
type watcher struct {
	text  bytes.Buffer
	want  string
	found func()
}

func (w *watcher) Write(p []byte) (int, error) {
	n, err := w.text.Write(p)
	if strings.Contains(w.text.String(), w.want) {
		w.found()
	}
	return n, err
}

func startErrors(t *testing.T, f *fixture) {
	_, err := f.sandbox.Start(f.ctx, runtime.ContainerConfig{Name: "main"})
	var notStarted *runtime.StartError
	if err == nil || errors.As(err, &notStarted) {
		t.Errorf("a container without a command gave %v, want an error that is no StartError", err)
	}
	if attempt, ok := f.runtime.LastAttempt(pod, "main"); ok {
		t.Errorf("a container that could not be made counts as attempt %d", attempt)
	}
	_, err = f.sandbox.Start(f.ctx, runtime.ContainerConfig{Name: "main", Attempt: 7, Command: f.Missing})
	if !errors.As(err, &notStarted) || notStarted.ID == "" {
		t.Errorf("a missing program gave %v, want a StartError with an ID", err)
	}
	if attempt, ok := f.runtime.LastAttempt(pod, "main"); !ok || attempt != 7 {
		t.Errorf("after a failed start the last attempt is %d, %v, want 7", attempt, ok)
	}
}

func logs(t *testing.T, f *fixture) {
	f.wait(f.start(0, f.Print("one\ntwo\nthree")))
	f.wait(f.start(1, f.Print("later")))
	one, many := 1, 9
	for _, tt := range []struct {
		attempt int32
		opts    runtime.LogOptions
		want    string
	}{
		{0, runtime.LogOptions{}, "one\ntwo\nthree\n"},
		{0, runtime.LogOptions{TailLines: &one}, "three\n"},
		{0, runtime.LogOptions{TailLines: &many}, "one\ntwo\nthree\n"},
		{0, runtime.LogOptions{TailLines: new(int)}, ""},
		{0, runtime.LogOptions{Follow: true}, "one\ntwo\nthree\n"}, // it has ended: there is nothing to wait for
		{1, runtime.LogOptions{}, "later\n"},
	} {
		if got := f.logs(tt.attempt, tt.opts); got != tt.want {
			t.Errorf("log of run %d with %+v: %q, want %q", tt.attempt, tt.opts, got, tt.want)
		}
	}
	var out bytes.Buffer
	err := f.runtime.Logs(f.ctx, runtime.ContainerRun{PodUID: pod, Container: "main", Attempt: 2}, runtime.LogOptions{},
		&out)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log of a run that never was: %v, want fs.ErrNotExist", err)
	}
}

func followedLogs(t *testing.T, f *fixture) {
	c := f.start(0, f.Stubborn)
	f.awaitLog(0, "ready") // returns while the container runs
	f.signal(c, syscall.SIGKILL)
	if got := f.logs(0, runtime.LogOptions{Follow: true}); got != "ready\n" {
		t.Errorf("the log to its end is %q", got)
	}
	f.wait(c)
}

func execs(t *testing.T, f *fixture) {
	c := f.start(0, f.Sleep)
	var out bytes.Buffer
	if code, err := c.Exec(f.ctx, f.Print("hello"), runtime.Streams{Stdout: &out}); err != nil || code != 0 ||
		out.String() != "hello\n" {
		t.Errorf("a command that prints: %q, code %d, %v", out.String(), code, err)
	}
	if code, err := c.Exec(f.ctx, f.Exit("3"), runtime.Streams{}); err != nil || code != 3 {
		t.Errorf("a command that ends with 3: code %d, %v", code, err)
	}
	out.Reset()
	if code, err := c.Exec(f.ctx, f.Cat, runtime.Streams{Stdin: strings.NewReader("typed"), Stdout: &out}); err != nil ||
		code != 0 || out.String() != "typed" {
		t.Errorf("a command with input: %q, code %d, %v", out.String(), code, err)
	}
	if _, err := c.Exec(f.ctx, f.Missing, runtime.Streams{}); err == nil {
		t.Error("a missing command gave no error")
	}
}

func endedExec(t *testing.T, f *fixture) {
	c := f.start(0, f.Sleep)
	ctx, cancel := context.WithCancel(f.ctx)
	result := make(chan error, 1)
	go func() {
		_, err := c.Exec(ctx, f.Sleep, runtime.Streams{})
		result <- err
	}()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("a command whose context ended: %v", err)
	}
}

func terminals(t *testing.T, f *fixture) {
	c := f.start(0, f.Sleep)
	if f.Winsize == nil {
		if _, err := c.Exec(f.ctx, f.Print("x"), runtime.Streams{TTY: true}); !errors.Is(err, runtime.ErrNotSupported) {
			t.Errorf("a terminal gave %v, want ErrNotSupported", err)
		}
		return
	}
	var out bytes.Buffer
	resize := make(chan runtime.TerminalSize, 1)
	resize <- runtime.TerminalSize{Width: 132, Height: 43}
	code, err := c.Exec(f.ctx, f.Winsize, runtime.Streams{Stdout: &out, TTY: true, Resize: resize})
	if err != nil || code != 0 || strings.TrimSpace(out.String()) != "132x43" {
		t.Errorf("in a terminal: %q, code %d, %v; want 132x43", out.String(), code, err)
	}
}

func attaches(t *testing.T, f *fixture) {
	c := f.start(0, f.Stubborn)
	f.awaitLog(0, "ready")
	attached := make(chan error, 1)
	var out bytes.Buffer
	go func() { attached <- c.Attach(f.ctx, runtime.Streams{Stdout: &out}) }()
	f.signal(c, syscall.SIGKILL)
	if err := <-attached; err != nil || out.String() != "" {
		t.Errorf("attached: %q, %v; want nothing of what was printed before", out.String(), err)
	}
	if err := c.Attach(f.ctx, runtime.Streams{Stdin: strings.NewReader("")}); err != nil &&
		!errors.Is(err, runtime.ErrNotSupported) {
		t.Errorf("attaching input: %v, want no error or ErrNotSupported", err)
	}
}

func measures(t *testing.T, f *fixture) {
	c := f.start(0, f.Stubborn)
	f.awaitLog(0, "ready")
	before, err := c.Stats(f.ctx)
	if errors.Is(err, runtime.ErrNotSupported) {
		return
	}
	if err != nil || before.At.IsZero() {
		t.Errorf("stats %+v, %v", before, err)
	}
	f.signal(c, syscall.SIGKILL)
	f.wait(c)
	if s, err := c.Stats(f.ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stats after the end: %+v, %v; want fs.ErrNotExist", s, err)
	}
}

func keeps(t *testing.T, f *fixture) {
	f.wait(f.start(0, f.Exit("0")))
	f.wait(f.start(1, f.Exit("0")))
	if attempt, ok := f.runtime.LastAttempt(pod, "main"); !ok || attempt != 1 {
		t.Errorf("last attempt %d, %v, want 1", attempt, ok)
	}
	if uids, err := f.runtime.Pods(); err != nil || !slices.Equal(uids, []string{pod}) {
		t.Errorf("pods %v, %v", uids, err)
	}
	if err := f.runtime.RemovePod(pod); err != nil {
		t.Error(err)
	}
	if uids, err := f.runtime.Pods(); err != nil || len(uids) != 0 {
		t.Errorf("after RemovePod the pods are %v, %v", uids, err)
	}
	if attempt, ok := f.runtime.LastAttempt(pod, "main"); ok {
		t.Errorf("after RemovePod the last attempt is %d", attempt)
	}
}

func closes(t *testing.T, f *fixture) {
	c := f.start(0, f.Stubborn)
	f.awaitLog(0, "ready")
	f.close()
	if exit := f.wait(c); exit.Code != 137 || exit.Signal != 9 {
		t.Errorf("Close gave %+v, want code 137 and signal 9", exit)
	}
}
