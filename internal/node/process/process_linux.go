package process

import (
	"errors"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"viaduct/internal/node/runtime"
)

// A process is the leader of a process group, and the processes that joined the group.
type process struct {
	pid     int
	started time.Time
	exited  chan struct{} // closed once the leader is reaped and its group killed
	exit    runtime.Exit  // set before exited is closed

	mu     sync.Mutex
	reaped bool // guarded by mu: the pid is no longer ours
}

func newProcess(pid int) *process {
	return &process{pid: pid, started: time.Now(), exited: make(chan struct{})}
}

// awaitExit blocks until pid has ended, and leaves it a zombie. While it is one, the kernel does not give the number of
// its group to another process.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// reap kills the rest of the group of a leader that has ended, and notes how the leader ended.
func (p *process) reap(cmd *exec.Cmd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = unix.Kill(-p.pid, unix.SIGKILL) // ESRCH: the group has no other member
	_ = cmd.Wait()                      // the wait status below says the same
	p.reaped = true
	p.exit = runtime.Exit{Started: p.started, Finished: time.Now()}
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		p.exit.Signal, p.exit.Code = int32(status.Signal()), 128+int32(status.Signal())
		return
	}
	p.exit.Code = int32(status.ExitStatus())
}

// signal sends sig to the whole group; after the end of its leader it does nothing.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = unix.Kill(-p.pid, sig) // ESRCH: it ended just now
	}
}

func (p *process) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reaped
}
