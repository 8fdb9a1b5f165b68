package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"viaduct/internal/node/network"
	"viaduct/internal/node/runtime"
)

// Options say how processes are run.
type Options struct {
	DataDir string           // required: logs, run records and files of Pods are under pods/
	Network *network.Network // gives each Pod a network namespace; nil: Pods share the host's network
	RunAs   string           // USER or USER:GROUP of containers that name none; empty: as the agent itself
	Self    string           // what a command "viaduct" runs if PATH does not have it; default: this executable
	Log     *slog.Logger     // default: slog.Default()
}

// A Runtime runs containers as processes.
type Runtime struct {
	opts  Options
	runAs *credential // nil: as the agent
	me    uint32      // the agent's own user
	home  string      // of the agent's user

	host  *spawner // starts what shares the host's namespaces
	close context.CancelFunc

	mu      sync.Mutex
	running map[runtime.ContainerRun]*container // guarded by mu
}

var _ runtime.Runtime = (*Runtime)(nil)

// New makes a Runtime. The error says which option makes no sense. Nothing is started or written before Open.
func New(opts Options) (*Runtime, error) {
	if opts.DataDir == "" {
		return nil, errors.New("the process runtime needs a data directory")
	}
	dir, err := filepath.Abs(opts.DataDir)
	if err != nil {
		return nil, fmt.Errorf("finding the data directory: %w", err)
	}
	opts.DataDir = dir
	runAs, err := parseRunAs(opts.RunAs)
	if err != nil {
		return nil, fmt.Errorf("run-as %q: %w", opts.RunAs, err)
	}
	me := uint32(os.Getuid())
	if runAs != nil && me != 0 && runAs.uid != me {
		return nil, fmt.Errorf("run-as %q: only root can run processes as another user", opts.RunAs)
	}
	if opts.Self == "" {
		opts.Self, _ = os.Executable() // without it, "viaduct" has to be in PATH
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/" // without HOME: what a process without a user entry has
	}
	return &Runtime{opts: opts, runAs: runAs, me: me, home: home, host: newSpawner(nil), close: func() {},
		running: map[runtime.ContainerRun]*container{}}, nil
}

// Version implements runtime.Runtime.
func (r *Runtime) Version() string { return "process://viaduct" }

// Open makes the data directory, kills what an earlier agent left running, and starts the thread that starts processes.
func (r *Runtime) Open(ctx context.Context) error {
	if err := os.MkdirAll(r.podsDir(), 0o700); err != nil {
		return fmt.Errorf("making the directory for pods: %w", err)
	}
	if err := killOrphans(r.opts.DataDir); err != nil {
		return err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	r.close = end
	entered := make(chan error, 1)
	go r.host.run(life, entered)
	return <-entered
}

// Close ends the thread that started processes. The kernel then kills the leaders that still run.
func (r *Runtime) Close() error {
	r.close()
	<-r.host.gone
	return nil
}

func (r *Runtime) podsDir() string { return filepath.Join(r.opts.DataDir, "pods") }

// podDir is the directory of a Pod. It need not exist.
func (r *Runtime) podDir(uid string) (string, error) {
	if !isFileName(uid) {
		return "", fmt.Errorf("the UID %q cannot be the name of a directory", uid)
	}
	return filepath.Join(r.podsDir(), uid), nil
}

// containerDir is the directory of a container. It need not exist.
func (r *Runtime) containerDir(uid, name string) (string, error) {
	pod, err := r.podDir(uid)
	if err == nil && !isFileName(name) {
		err = fmt.Errorf("the container name %q cannot be the name of a directory", name)
	}
	return filepath.Join(pod, name), err
}

// isFileName reports whether name is one element of a path that leads down.
func isFileName(name string) bool {
	return filepath.IsLocal(name) && filepath.Base(name) == name && name != "."
}

// LastAttempt implements runtime.Runtime.
func (r *Runtime) LastAttempt(podUID, name string) (attempt int32, ok bool) {
	dir, err := r.containerDir(podUID, name)
	if err != nil {
		return 0, false
	}
	last, err := readRunRecord(dir)
	return last.Attempt, err == nil
}

// Pods implements runtime.Runtime.
func (r *Runtime) Pods() ([]string, error) {
	entries, err := os.ReadDir(r.podsDir())
	if err != nil {
		return nil, fmt.Errorf("listing the directories of pods: %w", err)
	}
	uids := make([]string, 0, len(entries))
	for _, entry := range entries {
		uids = append(uids, entry.Name())
	}
	return uids, nil
}

// RemovePod implements runtime.Runtime.
func (r *Runtime) RemovePod(uid string) error {
	dir, err := r.podDir(uid)
	if err != nil {
		return nil //nolint:nilerr // nothing was ever made for it
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the directory of a pod: %w", err)
	}
	return nil
}

// marker is the VIADUCT_CONTAINER of a run.
func (r *Runtime) marker(run runtime.ContainerRun) string {
	return marker(r.opts.DataDir, run.PodUID, run.Container, strconv.Itoa(int(run.Attempt)))
}

// find gives a container that runs, or nil.
func (r *Runtime) find(run runtime.ContainerRun) *container {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running[run]
}

func (r *Runtime) add(run runtime.ContainerRun, c *container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[run] = c
}

func (r *Runtime) remove(run runtime.ContainerRun) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, run)
}
