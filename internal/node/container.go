package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/node/runtime"
)

// A container is one container of a worker's Pod, over all its runs. The worker's goroutine owns it.
type container struct {
	unit
	w       *worker
	log     *slog.Logger
	spec    *v1.Container
	attempt int32      // of the present or last run, from 0; -1: it never ran
	delay   backoff    // how long the next waits grow
	inputs  *envInputs // of the last run, for when the API cannot be asked
	trouble string     // the last trouble that became an event, so that it becomes one once

	current // the present run
}

// A current is one run of a container, while it lasts.
type current struct {
	run      runtime.Container  // nil: the container does not run
	pending  int                // what is still to happen before it counts as started: startup probe, postStart hook
	passed   chan struct{}      // closed when it counts as started
	stopping time.Time          // when it will be killed; zero: it is not being stopped
	endRun   context.CancelFunc // ends its probes and hooks
}

// newContainer makes the container of a Pod just adopted, with what its status and the runtime know of earlier runs.
func newContainer(w *worker, part kind, spec *v1.Container, statuses []v1.ContainerStatus) *container {
	var had *v1.ContainerStatus
	for i := range statuses {
		if statuses[i].Name == spec.Name {
			had = &statuses[i]
		}
	}
	c := &container{w: w, log: w.log.With("container", spec.Name), spec: spec, attempt: -1,
		unit: unit{Kind: part, record: restore(spec, had, now())}}
	if c.ID != "" || c.Ended != nil {
		c.attempt = c.Restarts
	}
	if last, ok := w.agent.opts.Runtime.LastAttempt(string(w.uid), spec.Name); ok {
		c.attempt = max(c.attempt, last)
	}
	return c
}

// start runs the container (again), or notes why it cannot and when to try next.
func (c *container) start(ctx context.Context) {
	c.w.agent.metrics.starting(c)
	env, err := c.environment(ctx)
	if err != nil {
		c.misconfigured(err)
		return
	}
	attempt := c.attempt + 1
	run, err := c.w.sandbox.Start(ctx, containerConfig(c.w.pod, c.spec, attempt, env))
	var notStarted *runtime.StartError
	if err != nil && !errors.As(err, &notStarted) {
		c.misconfigured(err)
		return
	}
	c.attempt, c.Restarts, c.trouble, c.Interrupted = attempt, attempt, "", false
	c.event(v1.EventTypeNormal, "Created", "Created container "+c.Name)
	if err != nil {
		c.ID = notStarted.ID
		c.cannotStart(err)
		return
	}
	c.ID = run.ID()
	c.began(ctx, run)
}

// environment computes the variables of the next run. If the API cannot be asked, those of the last run hold: a program
// that runs with them is better than none.
func (c *container) environment(ctx context.Context) (environment, error) {
	in, err := c.w.fetchInputs(ctx, c.spec)
	if err != nil && c.inputs == nil {
		return nil, err
	}
	if err != nil {
		c.log.Warn("starting a container with the variables of its last run", "err", err)
		in = *c.inputs
	}
	env, err := buildEnvironment(in, c.spec)
	if err != nil {
		return nil, err
	}
	c.inputs = &in
	return env, nil
}

// misconfigured notes that something the container needs is missing. The next try is due after the back-off.
func (c *container) misconfigured(err error) {
	c.Waiting = &v1.ContainerStateWaiting{Reason: reasonConfigError, Message: err.Error()}
	c.NotBefore = time.Now().Add(c.w.agent.opts.Backoff)
	c.w.agent.metrics.cannotStart(c, reasonConfigError)
	c.failed(err)
}

// cannotStart notes a run that ended before it began.
func (c *container) cannotStart(err error) {
	at, reason := now(), reasonCrashLoop
	if c.Ended == nil || c.Ended.Reason != reasonStartError {
		reason = reasonRunError
	}
	c.ended(v1.ContainerStateTerminated{
		ExitCode: 128, Reason: reasonStartError, Message: err.Error(), StartedAt: at, FinishedAt: at, ContainerID: c.ID,
	})
	c.w.agent.metrics.cannotStart(c, reason)
	// The first wait is left out: a program that could not be found will hardly be there a moment later.
	_, c.delay = c.delay.after(0, c.w.agent.opts.Backoff)
	c.NotBefore = time.Now().Add(c.delay.next)
	c.failed(err)
	if c.wanted(c.w.pod.Spec.RestartPolicy) {
		c.Waiting = &v1.ContainerStateWaiting{Reason: reason, Message: err.Error()}
		c.event(v1.EventTypeWarning, "BackOff", "Back-off restarting container "+c.Name+", which could not be started")
	}
}

// began notes that the container runs, and starts its hooks and probes.
func (c *container) began(ctx context.Context, run runtime.Container) {
	c.Running, c.Waiting = &v1.ContainerStateRunning{StartedAt: now()}, nil
	c.event(v1.EventTypeNormal, "Started", "Started container "+c.Name)
	c.log.Info("container started", "id", c.ID)
	runCtx, cancel := context.WithCancel(ctx)
	c.current = current{run: run, pending: 1, passed: make(chan struct{}), endRun: cancel}
	c.startHook(runCtx)
	c.startProbes(runCtx)
	c.advance()
	c.w.agent.metrics.began(c.w)
	go func() {
		exit, err := run.Wait(ctx)
		if err == nil { // else the agent has ended
			c.w.inbox.send(func() { c.exited(exit) })
		}
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

// exited notes the end of the present run.
func (c *container) exited(exit runtime.Exit) {
	c.endRun()
	c.w.agent.metrics.ended(c.w)
	c.run, c.stopping = nil, time.Time{}
	reason := reasonError
	if exit.Code == 0 {
		reason = reasonCompleted
	}
	c.ended(v1.ContainerStateTerminated{
		ExitCode: exit.Code, Signal: exit.Signal, Reason: reason, ContainerID: c.ID,
		StartedAt: metav1.NewTime(exit.Started).Rfc3339Copy(), FinishedAt: metav1.NewTime(exit.Finished).Rfc3339Copy(),
	})
	var wait time.Duration
	wait, c.delay = c.delay.after(exit.Finished.Sub(exit.Started), c.w.agent.opts.Backoff)
	c.NotBefore = exit.Finished.Add(wait)
	c.log.Info("container ended", "code", exit.Code, "signal", exit.Signal)
	if c.w.leaving && (c.Kind == sidecar || c.w.pod.Spec.RestartPolicy != v1.RestartPolicyNever) {
		c.Interrupted = true
		c.Waiting = &v1.ContainerStateWaiting{Reason: reasonAgentStopped,
			Message: "the node's agent ended; the next one starts this again"}
	}
}

// backingOff notes that the container is to run again, but not yet.
func (c *container) backingOff() {
	if c.Waiting != nil || c.Ended == nil {
		return
	}
	message := fmt.Sprintf("back-off %s restarting failed container=%s", time.Until(c.NotBefore).Round(time.Millisecond),
		c.Name)
	c.Waiting = &v1.ContainerStateWaiting{Reason: reasonCrashLoop, Message: message}
	c.event(v1.EventTypeWarning, "BackOff",
		"Back-off restarting container "+c.Name+", which ended with code "+strconv.Itoa(int(c.Ended.ExitCode)))
}

// event records an event about the container.
func (c *container) event(kind, reason, message string) { c.w.event(c, kind, reason, message) }

// failed makes trouble an event, once until it changes.
func (c *container) failed(err error) {
	if message := "Error: " + err.Error(); c.trouble != message {
		c.trouble = message
		c.event(v1.EventTypeWarning, "Failed", message)
	}
}
