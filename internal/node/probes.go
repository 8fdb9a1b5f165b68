package node

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/prober"
)

// earlyReadiness is when a readiness probe is put a second time if its first answer was bad. It doubles up to the
// probe's own period. Bad answers change nothing while a container has never been ready, and a person is waiting.
const earlyReadiness = 100 * time.Millisecond

// startProbes starts what the container's spec says of probes. What they find is told to the worker.
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

// probe runs one probe of the present run. heard is called in the worker's goroutine, as long as the run lasts.
func (c *container) probe(ctx context.Context, name string, p *v1.Probe, set func(*prober.Options),
	heard func(prober.Report) bool) {
	check, err := prober.NewCheck(p.ProbeHandler, prober.Target{Addr: c.w.ips[0], Ports: c.spec.Ports, Exec: c.execute()})
	if err != nil {
		c.w.event(c, v1.EventTypeWarning, "Unhealthy", name+" probe cannot be put: "+err.Error())
		return
	}
	opts, proc := prober.FromProbe(p), c.proc
	opts.Check = check
	set(&opts)
	pod, metrics := c.w.pod, c.w.agent.metrics
	opts.Report = func(r prober.Report) bool {
		metrics.answered(pod, c.Name, name, r)
		if !r.Flipped && !r.Exhausted && (r.Verdict == prober.Good || r.Early) {
			return true // nothing that anybody has to know
		}
		more := make(chan bool, 1)
		c.w.send(func() { more <- c.proc == proc && c.hear(name, r, heard) })
		select {
		case goOn := <-more:
			return goOn
		case <-c.w.done:
			return false
		}
	}
	go func() { _ = prober.New(opts).Run(ctx) }() // ends with the run, and never errs
}

// hear takes in one report of the present run.
func (c *container) hear(name string, r prober.Report, heard func(prober.Report) bool) (more bool) {
	if r.Verdict != prober.Good && !r.Early {
		c.w.event(c, v1.EventTypeWarning, "Unhealthy", fmt.Sprintf("%s probe failed: %s", name, r.Output))
	}
	if r.Flipped {
		c.w.log.Info("probe changed its mind", "container", c.Name, "probe", name, "up", r.Up)
	}
	return heard(r)
}

// giveUp ends a run that its liveness or startup probe calls dead, unless it is ending already: then it may be dead,
// and has the time that it was given. The restart policy decides what follows.
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

// execute gives the way to run a command as the present run does: its variables, directory and user.
func (c *container) execute() func(context.Context, []string) (string, int, error) {
	spec, spawner := c.command, c.w.spawner
	return func(ctx context.Context, argv []string) (string, int, error) {
		spec.Argv = argv
		return spawner.runCommand(ctx, spec)
	}
}

// startHook runs the postStart hook. If it fails, the container is stopped.
func (c *container) startHook(ctx context.Context) {
	if c.spec.Lifecycle == nil || c.spec.Lifecycle.PostStart == nil {
		return
	}
	c.pending++
	hook, proc := c.hook(c.spec.Lifecycle.PostStart), c.proc
	go func() {
		err := hook(ctx)
		c.w.send(func() {
			switch {
			case c.proc != proc:
			case err != nil:
				c.w.event(c, v1.EventTypeWarning, "FailedPostStartHook", err.Error())
				c.stop(context.WithoutCancel(ctx), time.Now().Add(c.w.grace()), "its postStart hook failed")
			default:
				c.advance()
			}
		})
	}()
}

// stopHook gives the preStop hook, or nil. That it fails is told, and the container is stopped all the same.
func (c *container) stopHook() func(context.Context) {
	if c.spec.Lifecycle == nil || c.spec.Lifecycle.PreStop == nil {
		return nil
	}
	hook := c.hook(c.spec.Lifecycle.PreStop)
	return func(ctx context.Context) {
		if err := hook(ctx); err != nil {
			c.w.send(func() { c.w.event(c, v1.EventTypeWarning, "FailedPreStopHook", err.Error()) })
		}
	}
}

// hook gives what handler says is to be done. Each reads nothing that changes, so it may run in any goroutine.
func (c *container) hook(handler *v1.LifecycleHandler) func(context.Context) error {
	target := prober.Target{Addr: c.w.ips[0], Ports: c.spec.Ports, Exec: c.execute()}
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
	// A hook asks for the same things as a probe, and takes the same answers for good.
	check, err := prober.NewCheck(v1.ProbeHandler{Exec: handler.Exec, HTTPGet: handler.HTTPGet,
		TCPSocket: handler.TCPSocket}, target)
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
