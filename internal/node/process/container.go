package process

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"viaduct/internal/node/runtime"
)

// A container is one run of a container: a process group, and how to run more commands like its own.
type container struct {
	*process
	id      string
	run     runtime.ContainerRun
	command commandSpec
	spawner *spawner
	runtime *Runtime
}

// Start implements runtime.PodSandbox.
func (s *sandbox) Start(_ context.Context, config runtime.ContainerConfig) (runtime.Container, error) {
	run := runtime.ContainerRun{PodUID: s.config.UID, Container: config.Name, Attempt: config.Attempt}
	command, err := s.command(config, run)
	if err != nil {
		return nil, err
	}
	dir, err := s.runtime.makeContainerDir(run)
	if err != nil {
		return nil, err
	}
	log, err := openLog(dir, run.Attempt)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own descriptor
	c := &container{id: containerID(run), run: run, command: command, spawner: s.spawner, runtime: s.runtime}
	cmd, err := command.command()
	if err == nil {
		cmd.Stdout, cmd.Stderr = log, log
		err = s.spawner.start(cmd, processAttributes(command.User))
	}
	if err != nil {
		s.runtime.remember(dir, runRecord{Attempt: run.Attempt})
		return nil, &runtime.StartError{ID: c.id, Err: err}
	}
	c.watch(cmd, dir)
	return c, nil
}

// command computes the command to run. An error means that the container cannot be a process of this host.
func (s *sandbox) command(config runtime.ContainerConfig, run runtime.ContainerRun) (commandSpec, error) {
	if len(config.Command) == 0 {
		return commandSpec{}, fmt.Errorf("container %s has no command: viaduct does not fetch images (%q), it runs a "+
			"command of this host", config.Name, config.Image)
	}
	user, err := credentialFor(config.User, s.runtime.runAs, s.runtime.me)
	if err != nil {
		return commandSpec{}, err
	}
	home := s.runtime.home
	if user != nil {
		home = user.home
	}
	env := hostVariables(s.runtime.opts.Self, home, s.config.Hostname)
	for _, variable := range config.Env {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	env[markerName] = s.runtime.marker(run)
	dir := config.WorkingDir
	if dir == "" {
		dir = "/"
	}
	return commandSpec{Argv: slices.Concat(config.Command, config.Args), Env: listed(env), Dir: dir,
		Path: env["PATH"], Self: s.runtime.opts.Self, User: user}, nil
}

// containerID names a run in the API.
func containerID(run runtime.ContainerRun) string {
	return fmt.Sprintf("process://%s/%s/%d", run.PodUID, run.Container, run.Attempt)
}

// makeContainerDir makes the directory of a container. Only the agent's own user may read what is in it.
func (r *Runtime) makeContainerDir(run runtime.ContainerRun) (string, error) {
	dir, err := r.containerDir(run.PodUID, run.Container)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making a container's directory: %w", err)
	}
	return dir, nil
}

// watch makes the started command the container's process, and records its start and its end.
func (c *container) watch(cmd *exec.Cmd, dir string) {
	marker := c.runtime.marker(c.run)
	c.process = newProcess(cmd.Process.Pid)
	c.runtime.add(c.run, c)
	c.runtime.remember(dir, recordOf(c.run.Attempt, c.pid))
	go func() {
		awaitExit(c.pid)
		c.reap(cmd)
		killMarked(marker)
		c.runtime.remember(dir, runRecord{Attempt: c.run.Attempt})
		c.runtime.remove(c.run)
		close(c.exited)
	}()
}

// remember writes the run record. Without it the next agent finds the processes by their marker only, so a failure is
// logged and no more.
func (r *Runtime) remember(dir string, record runRecord) {
	if err := record.write(dir); err != nil {
		r.opts.Log.Warn("writing a run record", "dir", dir, "err", err)
	}
}

// ID implements runtime.Container.
func (c *container) ID() string { return c.id }

// Signal sends sig to the process group of the container.
func (c *container) Signal(sig syscall.Signal) error {
	c.signal(sig)
	return nil
}

// Wait implements runtime.Container. When it returns without an error, no process of the container is left.
func (c *container) Wait(ctx context.Context) (runtime.Exit, error) {
	select {
	case <-c.exited:
		return c.exit, nil
	default:
	}
	select {
	case <-c.exited:
		return c.exit, nil
	case <-ctx.Done():
		return runtime.Exit{}, ctx.Err()
	}
}

// Stats sums up the process group of the container. Processes that left the group are not counted, pages that several
// processes share are counted for each of them, and the time of a process is lost if its parent did not wait for it.
func (c *container) Stats(context.Context) (runtime.Stats, error) {
	sum, found := runtime.Stats{At: time.Now()}, false
	for _, pid := range allPIDs() {
		s, err := readStat(pid)
		if err != nil || s.Group != c.pid || s.Zombie {
			continue
		}
		found = true
		sum.CPU += s.CPU
		sum.Memory += s.RSS
	}
	if !found || c.hasEnded() {
		return runtime.Stats{}, fmt.Errorf("measuring container %s: %w", c.id, fs.ErrNotExist)
	}
	return sum, nil
}
