package node

import (
	"context"
	"log/slog"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"

	"viaduct/internal/node/runtime"
)

// stop asks the container to end, and kills it at the deadline or when ctx ends. Its preStop hook runs first, and the
// time it takes is part of what the deadline allows. A second call can only bring the deadline forward.
func (c *container) stop(ctx context.Context, deadline time.Time, why string) {
	if c.run == nil || !c.stopping.IsZero() && !deadline.Before(c.stopping) {
		return
	}
	again := !c.stopping.IsZero()
	c.stopping = deadline
	if again {
		go killAfter(ctx, c.run, deadline, c.log)
		return
	}
	message := "Stopping container " + c.Name
	if why != "" {
		message += ": " + why
	}
	c.event(v1.EventTypeNormal, "Killing", message)
	run, hook := c.run, c.stopHook()
	go func() {
		if hook != nil {
			hookCtx, cancel := context.WithDeadline(ctx, deadline)
			defer cancel()
			hook(hookCtx)
		}
		_ = run.Signal(syscall.SIGTERM) // a run that cannot be asked is killed at the deadline
		killAfter(ctx, run, deadline, c.log)
	}()
}

// killAfter kills a run at the deadline or when ctx ends, unless it has ended before.
func killAfter(ctx context.Context, run runtime.Container, deadline time.Time, log *slog.Logger) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if _, err := run.Wait(ctx); err == nil {
		return
	}
	if err := run.Signal(syscall.SIGKILL); err != nil {
		log.Warn("killing a container", "err", err)
	}
}
