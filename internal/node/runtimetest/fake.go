package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"viaduct/internal/node/runtime"
)

// A Runtime is a fake container runtime. It keeps logs and attempts over Close and a later Open, as a runtime does over
// a restart of the agent.
type Runtime struct {
	mu       sync.Mutex                    // guards the following
	programs map[string]Program            // by name
	stats    map[string]runtime.Stats      // by container name
	sandbox  map[string]error              // by Pod UID: why its sandbox cannot be made
	runs     map[runtime.ContainerRun]*run // all that are kept
	open     map[string]bool               // Pod UIDs with a sandbox
}

var _ runtime.Runtime = (*Runtime)(nil)

// New makes a fake runtime with the builtin programs exit, print, sleep, stubborn, cat and winsize.
func New() *Runtime {
	return &Runtime{programs: builtin(), stats: map[string]runtime.Stats{}, sandbox: map[string]error{},
		runs: map[runtime.ContainerRun]*run{}, open: map[string]bool{}}
}

// SetProgram adds or replaces a program.
func (r *Runtime) SetProgram(name string, p Program) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.programs[name] = p
}

// SetStats sets what containers of that name use.
func (r *Runtime) SetStats(container string, s runtime.Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats[container] = s
}

// FailSandbox makes RunPodSandbox fail for a Pod; nil lets it succeed again.
func (r *Runtime) FailSandbox(podUID string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sandbox[podUID] = err
}

// Sandboxes lists the UIDs of the Pods that have a sandbox, sorted.
func (r *Runtime) Sandboxes() (uids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for uid := range r.open {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	return uids
}

// Version implements runtime.Runtime.
func (r *Runtime) Version() string { return "fake://1" }

// Open implements runtime.Runtime.
func (r *Runtime) Open(context.Context) error { return nil }

// Close kills every container that runs.
func (r *Runtime) Close() error {
	for _, run := range r.all() {
		run.kill()
		<-run.ended
	}
	return nil
}

func (r *Runtime) all() []*run {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*run, 0, len(r.runs))
	for _, run := range r.runs {
		list = append(list, run)
	}
	return list
}

// Pods implements runtime.Runtime. The list is sorted.
func (r *Runtime) Pods() (uids []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for run := range r.runs {
		uids = append(uids, run.PodUID)
	}
	slices.Sort(uids)
	return slices.Compact(uids), nil
}

// RemovePod implements runtime.Runtime.
func (r *Runtime) RemovePod(uid string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for run := range r.runs {
		if run.PodUID == uid {
			delete(r.runs, run)
		}
	}
	return nil
}

// LastAttempt implements runtime.Runtime.
func (r *Runtime) LastAttempt(podUID, container string) (attempt int32, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for run := range r.runs {
		if run.PodUID == podUID && run.Container == container {
			attempt, ok = max(attempt, run.Attempt), true
		}
	}
	return attempt, ok
}

// Logs implements runtime.Runtime.
func (r *Runtime) Logs(ctx context.Context, which runtime.ContainerRun, opts runtime.LogOptions, out io.Writer) error {
	r.mu.Lock()
	found := r.runs[which]
	r.mu.Unlock()
	if found == nil {
		return fmt.Errorf("no log of %v: %w", which, fs.ErrNotExist)
	}
	return found.log.copyTo(ctx, opts, found.ended, out)
}

// RunPodSandbox implements runtime.Runtime.
func (r *Runtime) RunPodSandbox(_ context.Context, config runtime.PodSandboxConfig) (runtime.PodSandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.sandbox[config.UID]; err != nil {
		return nil, err
	}
	r.open[config.UID] = true
	return &sandbox{runtime: r, uid: config.UID}, nil
}

type sandbox struct {
	runtime *Runtime
	uid     string
}

// Close implements runtime.PodSandbox.
func (s *sandbox) Close() error {
	s.runtime.mu.Lock()
	defer s.runtime.mu.Unlock()
	delete(s.runtime.open, s.uid)
	return nil
}

var errNoProgram = errors.New("no such program")

// Start implements runtime.PodSandbox.
func (s *sandbox) Start(_ context.Context, config runtime.ContainerConfig) (runtime.Container, error) {
	if len(config.Command) == 0 {
		return nil, fmt.Errorf("container %s has no command, and the fake runtime has no images", config.Name)
	}
	r := newRun(s.runtime, runtime.ContainerRun{PodUID: s.uid, Container: config.Name, Attempt: config.Attempt}, config)
	s.runtime.mu.Lock()
	s.runtime.runs[r.which] = r
	program, ok := s.runtime.programs[config.Command[0]]
	s.runtime.mu.Unlock()
	if !ok {
		close(r.ended)
		return nil, &runtime.StartError{ID: r.ID(), Err: fmt.Errorf("%q: %w", config.Command[0], errNoProgram)}
	}
	r.trap = program.HandlesTerm
	go r.execute(program)
	return r, nil
}
