package node

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A spawner starts processes from one thread that lives as long as the spawner: the kernel ties a parent-death signal
// to the thread that forked, not to the process, and Go ends threads as it likes.
type spawner struct {
	enter func() error // what the thread does first: it may move itself into namespaces; nil: nothing
	jobs  chan func()
	gone  chan struct{}
}

func newSpawner(enter func() error) *spawner {
	return &spawner{enter: enter, jobs: make(chan func()), gone: make(chan struct{})}
}

// run serves until ctx ends. Its thread then ends too, and the kernel kills whatever was started and still runs.
// entered hears once how enter went; after an error nothing is served.
func (s *spawner) run(ctx context.Context, entered chan<- error) {
	runtime.LockOSThread() // never unlocked, so the thread ends with this goroutine
	defer close(s.gone)
	var err error
	if s.enter != nil {
		err = s.enter()
	}
	if entered <- err; err != nil {
		return
	}
	for {
		select {
		case job := <-s.jobs:
			job()
		case <-ctx.Done():
			return
		}
	}
}

var errSpawnerGone = errors.New("the agent is ending: no more processes are started")

// start starts cmd in a process group of its own, to be killed with the agent.
func (s *spawner) start(cmd *exec.Cmd, user *credential) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: user.forKernel()}
	result := make(chan error, 1)
	select {
	case s.jobs <- func() { result <- cmd.Start() }:
		return <-result
	case <-s.gone:
		return errSpawnerGone
	}
}

// A process is a started container: the leader of its process group, and whoever joined it.
type process struct {
	pid     int
	started time.Time
	exited  chan struct{} // closed once the leader is reaped and its group killed

	// Set before exited is closed.
	code     int32 // 0 to 255; 128+n for signal n
	sig      int32 // 0: it ended by itself
	finished time.Time

	mu     sync.Mutex
	reaped bool // guarded by mu: the pid is no longer ours
}

// watchProcess makes a process of a started command, and reaps it when it ends; then the rest of its group is killed,
// and sweep is called.
func watchProcess(cmd *exec.Cmd, sweep func()) *process {
	p := &process{pid: cmd.Process.Pid, started: time.Now(), exited: make(chan struct{})}
	go func() {
		awaitExit(p.pid)
		p.reap(cmd)
		sweep()
		close(p.exited)
	}()
	return p
}

// awaitExit blocks until pid has ended, and leaves it a zombie: as long as it is one, its group's number is not given
// to anybody else.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func (p *process) reap(cmd *exec.Cmd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = unix.Kill(-p.pid, unix.SIGKILL) // ESRCH: nobody else is left
	_ = cmd.Wait()                      // says again what the wait status below says
	p.reaped, p.finished = true, time.Now()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		p.sig, p.code = int32(status.Signal()), 128+int32(status.Signal())
		return
	}
	p.code = int32(status.ExitStatus())
}

// signal sends sig to the whole group; after the end of its leader it does nothing.
func (p *process) signal(sig unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = unix.Kill(-p.pid, sig) // ESRCH: it ended just now
	}
}

// stop asks the process to end, and kills it at the deadline or when ctx ends. It returns when the process has ended.
// before, if not nil, is run first, and the time it takes is part of what the deadline allows.
func (p *process) stop(ctx context.Context, before func(context.Context), deadline time.Time) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if before != nil {
		before(ctx)
	}
	p.signal(unix.SIGTERM)
	p.killAfter(ctx)
}

// killAfter kills the process when ctx ends, unless it has ended before. It returns when it has.
func (p *process) killAfter(ctx context.Context) {
	select {
	case <-p.exited:
		return
	case <-ctx.Done():
	}
	p.signal(unix.SIGKILL)
	<-p.exited
}

// runCommand runs a command to its end beside a container (a probe, a hook) and gives its output. ctx bounds it: then
// the whole group is killed. err means that it could not be started or did not end in time.
func (s *spawner) runCommand(ctx context.Context, spec commandSpec) (output string, code int, err error) {
	cmd, err := spec.command()
	if err != nil {
		return "", 0, err
	}
	var out limitedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // a grandchild may hold the pipe open
	if err := s.start(cmd, spec.User); err != nil {
		return "", 0, fmt.Errorf("starting %q: %w", spec.Argv[0], err)
	}
	group := cmd.Process.Pid
	stopKilling := context.AfterFunc(ctx, func() { _ = unix.Kill(-group, unix.SIGKILL) })
	awaitExit(group)
	stopKilling()
	_ = unix.Kill(-group, unix.SIGKILL)
	_ = cmd.Wait() // the exit code says what is to be said
	if ctx.Err() != nil {
		return out.String(), -1, fmt.Errorf("running %q: %w", spec.Argv[0], ctx.Err())
	}
	return out.String(), cmd.ProcessState.ExitCode(), nil
}
