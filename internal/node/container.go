package node

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A container is one container of a worker's Pod, over all its runs. The worker's goroutine owns it.
type container struct {
	unit
	w       *worker
	spec    *v1.Container
	attempt int32      // of the present or last run, from 0; -1: it never ran
	delay   backoff    // how long the next waits grow
	inputs  *envInputs // of the last run, for when the API cannot be asked
	told    string     // the last trouble that was made an event, so that it is told once

	present // the present run
}

// A present is one run of a container, while it lasts.
type present struct {
	proc     *process // nil: it does not run
	command  commandSpec
	pending  int                // what is still to happen before it counts as started: startup probe, postStart hook
	passed   chan struct{}      // closed when it counts as started
	stopping time.Time          // when it will be killed; zero: it is not being stopped
	endRun   context.CancelFunc // ends its probes and hooks
}

// newContainer makes the container of a Pod just adopted, with what its status and its directory say of earlier runs.
func newContainer(w *worker, part kind, spec *v1.Container, statuses []v1.ContainerStatus) *container {
	var had *v1.ContainerStatus
	for i := range statuses {
		if statuses[i].Name == spec.Name {
			had = &statuses[i]
		}
	}
	c := &container{w: w, spec: spec, attempt: -1, unit: unit{Kind: part, record: restore(spec, had, now())}}
	if c.ID != "" || c.Ended != nil {
		c.attempt = c.Restarts
	}
	if dir, err := containerDir(w.agent.opts.DataDir, string(w.uid), spec.Name); err == nil {
		if last, err := readRunRecord(dir); err == nil { // none: it never ran here
			c.attempt = max(c.attempt, last.Attempt)
		}
	}
	return c
}

// start runs the container (again), or notes why it cannot and when to try next.
func (c *container) start(ctx context.Context) {
	c.w.agent.metrics.starting(c)
	command, dir, err := c.prepare(ctx)
	if err != nil {
		c.misconfigured(err)
		return
	}
	log, err := openLog(dir, c.attempt+1)
	if err != nil {
		c.misconfigured(err)
		return
	}
	defer func() { _ = log.Close() }() // the process has its own descriptor
	c.attempt++
	c.Restarts = c.attempt
	c.ID = fmt.Sprintf("process://%s/%s/%d", c.w.uid, c.Name, c.attempt)
	c.command, c.told, c.Interrupted = command, "", false
	c.w.event(c, v1.EventTypeNormal, "Created", "Created container "+c.Name)
	cmd, err := command.command()
	if err == nil {
		cmd.Stdout, cmd.Stderr = log, log
		err = c.w.spawner.start(cmd, command.User)
	}
	if err != nil {
		c.cannotStart(dir, err)
		return
	}
	c.began(ctx, cmd, dir)
}

// prepare computes the command to run, and makes the container's directory.
func (c *container) prepare(ctx context.Context) (commandSpec, string, error) {
	opts := c.w.agent.opts
	if len(c.spec.Command) == 0 {
		return commandSpec{}, "", fmt.Errorf("container %s has no command: viaduct does not fetch images (%q), it runs a "+
			"command of this host", c.Name, c.Image)
	}
	dir, err := containerDir(opts.DataDir, string(c.w.uid), c.Name)
	if err != nil {
		return commandSpec{}, "", err
	}
	user, err := credentialFor(c.w.pod, c.spec, c.w.agent.runAs, c.w.agent.me)
	if err != nil {
		return commandSpec{}, "", err
	}
	in, err := c.w.fetchInputs(ctx, c.spec)
	if err != nil && c.inputs == nil {
		return commandSpec{}, "", err
	}
	if err != nil { // a program that runs with what it ran with is better than none while the API is away
		c.w.log.Warn("starting a container with the variables of its last run", "container", c.Name, "err", err)
		in = *c.inputs
	}
	own, err := buildEnvironment(in, c.spec)
	if err != nil {
		return commandSpec{}, "", err
	}
	c.inputs = &in
	return c.commandSpec(own, user), dir, nil
}

func (c *container) commandSpec(own environment, user *credential) commandSpec {
	opts := c.w.agent.opts
	home := c.w.agent.home
	if user != nil {
		home = user.home
	}
	env := hostVariables(opts.Self, home, c.w.pod)
	for name, value := range own {
		env[name] = value
	}
	env[markerName] = c.marker(c.attempt + 1)
	workingDir := c.spec.WorkingDir
	if workingDir == "" {
		workingDir = "/"
	}
	return commandSpec{Argv: commandLine(c.spec, own), Env: env.list(), Dir: workingDir, Path: env["PATH"],
		Self: opts.Self, User: user}
}

func (c *container) marker(attempt int32) string {
	return marker(c.w.agent.opts.DataDir, string(c.w.uid), c.Name, strconv.Itoa(int(attempt)))
}

// misconfigured notes that something the container needs is missing; it is looked for again after a while.
func (c *container) misconfigured(err error) {
	c.Waiting = &v1.ContainerStateWaiting{Reason: reasonConfigError, Message: err.Error()}
	c.NotBefore = time.Now().Add(c.w.agent.opts.Backoff)
	c.w.agent.metrics.cannotStart(c, reasonConfigError)
	c.tell("Failed", "Error: "+err.Error())
}

// cannotStart notes a run that ended before it began.
func (c *container) cannotStart(dir string, err error) {
	at, reason := now(), reasonCrashLoop
	if c.Ended == nil || c.Ended.Reason != reasonStartError {
		reason = reasonRunError
	}
	c.ended(v1.ContainerStateTerminated{
		ExitCode: 128, Reason: reasonStartError, Message: err.Error(), StartedAt: at, FinishedAt: at, ContainerID: c.ID,
	})
	// There is no second try at once: what could not be found will hardly be there a moment later.
	c.w.agent.metrics.cannotStart(c, reason)
	_, c.delay = c.delay.after(0, c.w.agent.opts.Backoff)
	c.NotBefore = time.Now().Add(c.delay.next)
	c.tell("Failed", "Error: "+err.Error())
	if c.wanted(c.w.pod.Spec.RestartPolicy) {
		c.Waiting = &v1.ContainerStateWaiting{Reason: reason, Message: err.Error()}
		c.w.event(c, v1.EventTypeWarning, "BackOff", "Back-off restarting container "+c.Name+", which could not be started")
	}
	c.remember(dir, runRecord{Attempt: c.attempt})
}

// began notes that the process runs, and starts all that goes with it.
func (c *container) began(ctx context.Context, cmd *exec.Cmd, dir string) {
	sweep := func(prefix string) func() { return func() { killMarked(prefix) } }(c.marker(c.attempt))
	c.proc = watchProcess(cmd, sweep)
	c.remember(dir, recordOf(c.attempt, c.proc.pid))
	c.Running, c.Waiting, c.stopping = &v1.ContainerStateRunning{StartedAt: now()}, nil, time.Time{}
	c.w.event(c, v1.EventTypeNormal, "Started", "Started container "+c.Name)
	c.w.log.Info("container started", "container", c.Name, "pid", c.proc.pid, "run", c.attempt)
	runCtx, cancel := context.WithCancel(ctx)
	c.endRun, c.passed, c.pending = cancel, make(chan struct{}), 1
	c.startHook(runCtx)
	c.startProbes(runCtx)
	c.advance()
	c.w.agent.metrics.began(c.w)
	proc := c.proc
	go func() {
		<-proc.exited
		c.w.send(func() { c.exited(proc, dir) })
	}()
}

// advance notes that one of the things that a container's start consists of is done.
func (c *container) advance() {
	if c.pending--; c.pending > 0 {
		return
	}
	c.Started = true
	c.Ready = c.spec.ReadinessProbe == nil
	close(c.passed)
}

// exited notes the end of a run.
func (c *container) exited(proc *process, dir string) {
	c.endRun()
	c.w.agent.metrics.ended(c.w)
	c.proc, c.stopping = nil, time.Time{}
	reason := reasonError
	if proc.code == 0 {
		reason = reasonCompleted
	}
	c.ended(v1.ContainerStateTerminated{
		ExitCode: proc.code, Signal: proc.sig, Reason: reason, ContainerID: c.ID,
		StartedAt: metav1.NewTime(proc.started).Rfc3339Copy(), FinishedAt: metav1.NewTime(proc.finished).Rfc3339Copy(),
	})
	var wait time.Duration
	wait, c.delay = c.delay.after(proc.finished.Sub(proc.started), c.w.agent.opts.Backoff)
	c.NotBefore = proc.finished.Add(wait)
	c.w.log.Info("container ended", "container", c.Name, "code", proc.code, "signal", proc.sig)
	if c.w.leaving && (c.Kind == sidecar || c.w.pod.Spec.RestartPolicy != v1.RestartPolicyNever) {
		c.Interrupted = true
		c.Waiting = &v1.ContainerStateWaiting{Reason: reasonAgentStopped,
			Message: "the node's agent ended; the next one starts this again"}
	}
	c.remember(dir, runRecord{Attempt: c.attempt})
}

// backingOff notes that the container is to run again, but not yet.
func (c *container) backingOff() {
	if c.Waiting != nil || c.Ended == nil {
		return
	}
	message := fmt.Sprintf("back-off %s restarting failed container=%s", time.Until(c.NotBefore).Round(time.Millisecond),
		c.Name)
	c.Waiting = &v1.ContainerStateWaiting{Reason: reasonCrashLoop, Message: message}
	c.w.event(c, v1.EventTypeWarning, "BackOff",
		"Back-off restarting container "+c.Name+", which ended with code "+strconv.Itoa(int(c.Ended.ExitCode)))
}

// stop has the container's process end by the deadline. Asked again, it can only bring the deadline forward.
func (c *container) stop(ctx context.Context, deadline time.Time, why string) {
	if c.proc == nil || !c.stopping.IsZero() && !deadline.Before(c.stopping) {
		return
	}
	again := !c.stopping.IsZero()
	c.stopping = deadline
	proc := c.proc
	if again {
		go func() {
			ctx, cancel := context.WithDeadline(ctx, deadline)
			defer cancel()
			proc.killAfter(ctx)
		}()
		return
	}
	message := "Stopping container " + c.Name
	if why != "" {
		message += ": " + why
	}
	c.w.event(c, v1.EventTypeNormal, "Killing", message)
	go proc.stop(ctx, c.stopHook(), deadline)
}

// remember writes the run record. Without it the next agent finds the processes by their marker only, so a failure is
// worth a line and no more.
func (c *container) remember(dir string, r runRecord) {
	if err := r.write(dir); err != nil {
		c.w.log.Warn("noting a run", "container", c.Name, "err", err)
	}
}

// tell makes trouble an event, once until it changes.
func (c *container) tell(reason, message string) {
	if c.told != message {
		c.told = message
		c.w.event(c, v1.EventTypeWarning, reason, message)
	}
}

var errHook = errors.New("the hook names no action")
