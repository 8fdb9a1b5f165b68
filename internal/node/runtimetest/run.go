package runtimetest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"viaduct/internal/node/runtime"
)

// A run is one run of a fake container.
type run struct {
	runtime *Runtime
	which   runtime.ContainerRun
	config  runtime.ContainerConfig
	started time.Time
	trap    bool // the program handles SIGTERM
	log     *logBuffer

	ended chan struct{} // closed when the program has returned
	exit  runtime.Exit  // set before ended is closed

	mu         sync.Mutex     // guards the following
	signal     syscall.Signal // that ended it; 0: none has
	terminated chan struct{}
	killed     chan struct{}
}

func newRun(r *Runtime, which runtime.ContainerRun, config runtime.ContainerConfig) *run {
	return &run{runtime: r, which: which, config: config, started: time.Now(), log: newLogBuffer(),
		ended: make(chan struct{}), terminated: make(chan struct{}), killed: make(chan struct{})}
}

// execute runs the program to its end.
func (r *run) execute(program Program) {
	code := program.Run(&Process{
		Args: slices.Concat(r.config.Command[1:], r.config.Args), Env: r.config.Env, Stdin: strings.NewReader(""),
		Stdout: r.log, Stderr: r.log, Terminated: r.terminated, Killed: r.killed,
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exit = runtime.Exit{Code: int32(code), Started: r.started, Finished: time.Now()}
	if r.signal != 0 {
		r.exit.Code, r.exit.Signal = 128+int32(r.signal), int32(r.signal)
	}
	close(r.ended)
}

// ID implements runtime.Container.
func (r *run) ID() string {
	return fmt.Sprintf("fake://%s/%s/%d", r.which.PodUID, r.which.Container, r.which.Attempt)
}

// Signal implements runtime.Container.
func (r *run) Signal(sig syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case sig == syscall.SIGTERM && r.trap:
		closeOnce(r.terminated)
	case r.signal == 0:
		r.signal = sig
		closeOnce(r.killed)
	}
	return nil
}

func (r *run) kill() { _ = r.Signal(syscall.SIGKILL) }

// closeOnce closes c if it is open. The caller holds the lock that guards c.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// Wait implements runtime.Container.
func (r *run) Wait(ctx context.Context) (runtime.Exit, error) {
	select {
	case <-r.ended:
	case <-ctx.Done():
		if !r.hasEnded() {
			return runtime.Exit{}, ctx.Err()
		}
	}
	return r.exit, nil
}

func (r *run) hasEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// Stats gives what SetStats has set.
func (r *run) Stats(context.Context) (runtime.Stats, error) {
	if r.hasEnded() {
		return runtime.Stats{}, fmt.Errorf("measuring container %s: %w", r.ID(), fs.ErrNotExist)
	}
	r.runtime.mu.Lock()
	defer r.runtime.mu.Unlock()
	s := r.runtime.stats[r.config.Name]
	s.At = time.Now()
	return s, nil
}

// Exec implements runtime.Container.
func (r *run) Exec(ctx context.Context, command []string, streams runtime.Streams) (exitCode int, err error) {
	r.runtime.mu.Lock()
	program, ok := r.runtime.programs[command[0]]
	r.runtime.mu.Unlock()
	if !ok {
		return 0, fmt.Errorf("%q: %w", command[0], errNoProgram)
	}
	p := &Process{
		Args: command[1:], Env: r.config.Env, Stdin: streams.Stdin, Stdout: orDiscard(streams.Stdout),
		Stderr: orDiscard(streams.Stderr), TTY: streams.TTY, Resize: streams.Resize, Killed: ctx.Done(),
	}
	if p.Stdin == nil {
		p.Stdin = strings.NewReader("")
	}
	code := program.Run(p)
	if ctx.Err() != nil {
		return -1, fmt.Errorf("running %q: %w", command[0], ctx.Err())
	}
	return code, nil
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// Attach implements runtime.Container, for output only.
func (r *run) Attach(ctx context.Context, streams runtime.Streams) error {
	if streams.Stdin != nil || streams.TTY {
		return fmt.Errorf("attaching input or a terminal: %w", runtime.ErrNotSupported)
	}
	none := 0
	return r.log.copyTo(ctx, runtime.LogOptions{Follow: true, TailLines: &none}, r.ended, orDiscard(streams.Stdout))
}

// A logBuffer is the log of a run. Readers can wait for what is written later.
type logBuffer struct {
	mu     sync.Mutex    // guards the following
	text   []byte        // all that was written
	change chan struct{} // closed by the next write
}

func newLogBuffer() *logBuffer { return &logBuffer{change: make(chan struct{})} }

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	close(b.change)
	b.change = make(chan struct{})
	return len(p), nil
}

// after gives what is written after offset, and what closes at the next write.
func (b *logBuffer) after(offset int) (text []byte, change <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.text[offset:]), b.change
}

func (b *logBuffer) copyTo(ctx context.Context, opts runtime.LogOptions, ended <-chan struct{}, out io.Writer) error {
	offset := 0
	if opts.TailLines != nil {
		text, _ := b.after(0)
		offset = len(text) - len(tail(string(text), *opts.TailLines))
	}
	for over := !opts.Follow; ; {
		text, change := b.after(offset)
		if _, err := out.Write(text); err != nil {
			return fmt.Errorf("copying a log: %w", err)
		}
		if offset += len(text); over {
			return nil
		}
		select {
		case <-change:
		case <-ended:
			over = true // what was written since is still to be copied
		case <-ctx.Done():
			return nil
		}
	}
}

// tail gives the last lines of a text.
func tail(text string, lines int) string {
	all := strings.SplitAfter(text, "\n")
	if len(all) > 0 && all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return strings.Join(all[max(len(all)-lines, 0):], "")
}
