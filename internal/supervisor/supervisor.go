// Package supervisor runs several long-running components in one process. It starts them in order, and stops them in
// reverse order when the context ends or when one component fails. It knows nothing about what the components do, and
// it never restarts one.
package supervisor

import (
	"context"
	"errors"
	"fmt"
)

// A Component is a piece of Viaduct that runs until its context ends.
type Component struct {
	// Name is the component's name in error messages, for example "API server".
	Name string
	// Run blocks until its context ends. If it returns earlier, with or without an error, the component has failed.
	Run func(context.Context) error
	// Ready is closed when the next component may start. If it is nil, the next component starts at once.
	Ready <-chan struct{}
}

// Run starts the components in order and runs them until ctx ends or one of them fails. Then it stops them in reverse
// order, and waits for each before it stops the next. started may be nil; otherwise it is called once, when all
// components run.
//
// The error is nil if ctx ended and all components stopped cleanly. Otherwise it joins the error of the first component
// that failed and the errors of stopping.
func Run(ctx context.Context, started func(), components ...Component) error {
	failed := make(chan error, len(components))
	running, err := startAll(ctx, components, failed)
	if err == nil && ctx.Err() == nil {
		if started != nil {
			started()
		}
		err = waitEnd(ctx, failed)
	}
	for i := len(running) - 1; i >= 0; i-- {
		err = errors.Join(err, running[i].stop())
	}
	return err
}

// startAll returns the components that it started. When ctx ends it returns early and without an error.
func startAll(ctx context.Context, components []Component, failed chan error) (started []*process, err error) {
	for _, c := range components {
		started = append(started, start(ctx, c, failed))
		if c.Ready == nil {
			continue
		}
		select {
		case <-c.Ready:
		case err := <-failed:
			return started, err
		case <-ctx.Done():
			return started, nil
		}
	}
	return started, nil
}

func waitEnd(ctx context.Context, failed <-chan error) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// A process is a component that was started.
type process struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done closes, and only if the component failed while it was being stopped
}

// start runs c with a context that outlives ctx, because the components are stopped one by one. If c ends before it is
// stopped, the reason is sent to failed.
func start(ctx context.Context, c Component, failed chan<- error) *process {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &process{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		err := c.Run(own)
		switch {
		case own.Err() == nil && err == nil:
			failed <- fmt.Errorf("%s: ended unexpectedly", c.Name)
		case own.Err() == nil:
			failed <- fmt.Errorf("%s: %w", c.Name, err)
		case err != nil && !errors.Is(err, context.Canceled):
			p.err = fmt.Errorf("stopping the %s: %w", c.Name, err)
		}
	}()
	return p
}

func (p *process) stop() error {
	p.cancel()
	<-p.done
	return p.err
}
