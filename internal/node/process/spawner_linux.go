package process

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"syscall"
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

// run serves until ctx ends. Its thread then ends too, and the kernel kills what was started and still runs. entered
// receives the result of enter, once; after an error nothing is served.
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

// start starts cmd. attributes say in which process group and as which user.
func (s *spawner) start(cmd *exec.Cmd, attributes *syscall.SysProcAttr) error {
	cmd.SysProcAttr = attributes
	result := make(chan error, 1)
	select {
	case s.jobs <- func() { result <- cmd.Start() }:
		return <-result
	case <-s.gone:
		return errSpawnerGone
	}
}

// processAttributes puts a process into a group of its own, to be killed with the agent.
func processAttributes(user *credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: user.forKernel()}
}
