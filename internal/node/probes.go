package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/node/runtime"
	"viaduct/internal/prober"
)

// earlyReadiness is the pause after which a readiness probe asks again if its first answer was bad. It doubles up to
// the probe's own period. Bad answers change nothing while a container has never been ready, and a person is waiting.
const earlyReadiness = 100 * time.Millisecond

// startProbes starts the probes of the container's spec. Their reports are handled in the worker's goroutine.
func (c *container) startProbes(ctx context.Context) {
	if probe := c.spec.StartupProbe; probe != nil {
		c.pending++
		c.probe(ctx, "Startup", probe, func(o *prober.Options) {}, func(r prober.Report) (more bool) {
			if r.Up {
				c.advance()
			}
			if r.Exhausted {
				c.giveUp(ctx, "startup", probe)
			}
			return !r.Up && !r.Exhausted
		})
	}
	if probe := c.spec.LivenessProbe; probe != nil {
		c.probe(ctx, "Liveness", probe, func(o *prober.Options) { o.Up, o.Gate = true, c.passed },
			func(r prober.Report) (more bool) {
				if r.Exhausted {
					c.giveUp(ctx, "liveness", probe)
				}
				return !r.Exhausted
			})
	}
	if probe := c.spec.ReadinessProbe; probe != nil {
		c.probe(ctx, "Readiness", probe, func(o *prober.Options) { o.Gate, o.Early = c.passed, earlyReadiness },
			func(r prober.Report) (more bool) {
				c.Ready = r.Up
				return true
			})
	}
}

// probe runs one probe of the present run. handle is called in the worker's goroutine, as long as the run lasts, and
// reports whether the probe goes on.
func (c *container) probe(ctx context.Context, name string, p *v1.Probe, set func(*prober.Options),
	handle func(prober.Report) bool) {
	check, err := prober.NewCheck(p.ProbeHandler, c.target())
	if err != nil {
		c.event(v1.EventTypeWarning, "Unhealthy", name+" probe cannot be run: "+err.Error())
		return
	}
	opts, run := prober.FromProbe(p), c.run
	opts.Check = check
	set(&opts)
	pod, metrics := c.w.pod, c.w.agent.metrics
	opts.Report = func(r prober.Report) bool {
		metrics.answered(pod, c.Name, name, r)
		if !r.Flipped && !r.Exhausted && (r.Verdict == prober.Good || r.Early) {
			return true // nothing changes
		}
		more := make(chan bool, 1)
		c.w.inbox.send(func() { more <- c.run == run && c.report(name, r, handle) })
		select {
		case goOn := <-more:
			return goOn
		case <-c.w.inbox.done:
			return false
		}
	}
	go func() { _ = prober.New(opts).Run(ctx) }() // ends with the run, and never errs
}

// report handles one report of a probe of the present run.
func (c *container) report(name string, r prober.Report, handle func(prober.Report) bool) (more bool) {
	if r.Verdict != prober.Good && !r.Early {
		c.event(v1.EventTypeWarning, "Unhealthy", fmt.Sprintf("%s probe failed: %s", name, r.Output))
	}
	if r.Flipped {
		c.log.Info("probe result changed", "probe", name, "up", r.Up)
	}
	return handle(r)
}

// giveUp stops a run whose liveness or startup probe has failed for good. A run that is being stopped already keeps the
// time it was given: a program that ends may fail its probe. The restart policy decides what follows.
func (c *container) giveUp(ctx context.Context, name string, p *v1.Probe) {
	if !c.stopping.IsZero() {
		return
	}
	grace := c.w.grace()
	if p.TerminationGracePeriodSeconds != nil {
		grace = time.Duration(*p.TerminationGracePeriodSeconds) * time.Second
	}
	c.stop(context.WithoutCancel(ctx), time.Now().Add(grace), "its "+name+" probe failed")
}

// target is what the probes and hooks of the present run address.
func (c *container) target() prober.Target {
	run := c.run
	return prober.Target{Addr: c.w.ips[0], Ports: c.spec.Ports,
		Exec: func(ctx context.Context, command []string) (string, int, error) {
			var out limitedBuffer
			code, err := run.Exec(ctx, command, runtime.Streams{Stdout: &out, Stderr: &out})
			return out.String(), code, err
		}}
}

// startHook runs the postStart hook. If it fails, the container is stopped.
func (c *container) startHook(ctx context.Context) {
	if c.spec.Lifecycle == nil || c.spec.Lifecycle.PostStart == nil {
		return
	}
	c.pending++
	hook, run := c.hook(c.spec.Lifecycle.PostStart), c.run
	go func() {
		err := hook(ctx)
		c.w.inbox.send(func() {
			switch {
			case c.run != run:
			case err != nil:
				c.event(v1.EventTypeWarning, "FailedPostStartHook", err.Error())
				c.stop(context.WithoutCancel(ctx), time.Now().Add(c.w.grace()), "its postStart hook failed")
			default:
				c.advance()
			}
		})
	}()
}

// stopHook returns the preStop hook, or nil. If the hook fails, an event reports it, and the container still stops.
func (c *container) stopHook() func(context.Context) {
	if c.spec.Lifecycle == nil || c.spec.Lifecycle.PreStop == nil {
		return nil
	}
	hook := c.hook(c.spec.Lifecycle.PreStop)
	return func(ctx context.Context) {
		if err := hook(ctx); err != nil {
			c.w.inbox.send(func() { c.event(v1.EventTypeWarning, "FailedPreStopHook", err.Error()) })
		}
	}
}

// hook gives the action of a handler. The action reads nothing that changes, so it may run in any goroutine.
func (c *container) hook(handler *v1.LifecycleHandler) func(context.Context) error {
	if handler.Sleep != nil {
		pause := time.Duration(handler.Sleep.Seconds) * time.Second
		return func(ctx context.Context) error {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			return nil
		}
	}
	// A hook has the same kinds of action as a probe, and counts as done where a probe succeeds.
	check, err := prober.NewCheck(v1.ProbeHandler{Exec: handler.Exec, HTTPGet: handler.HTTPGet,
		TCPSocket: handler.TCPSocket}, c.target())
	return func(ctx context.Context) error {
		if err != nil {
			return fmt.Errorf("%w: %w", errHook, err)
		}
		if answer := check(ctx); answer.Verdict != prober.Good {
			return fmt.Errorf("running a lifecycle hook: %s", answer.Output)
		}
		return nil
	}
}

var errHook = errors.New("the hook names no action")

// maxOutput bounds what is kept of the output of a probe or hook, in bytes.
const maxOutput = 10 << 10

// A limitedBuffer keeps the first maxOutput bytes written to it.
type limitedBuffer struct {
	mu   sync.Mutex
	kept []byte // guarded by mu
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, p[:min(len(p), maxOutput-len(b.kept))]...)
	return len(p), nil
}

func (b *limitedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.kept)
}
