package main

import (
	"context"
	"errors"
	"fmt"
)

// A part is a piece of Viaduct that runs until its context ends.
type part struct {
	name  string
	run   func(context.Context) error
	ready <-chan struct{} // closed when the next part may start; nil: at once
}

// supervise starts parts in order and runs them until ctx ends or one of them fails; then it stops them in reverse
// order, each before the one it was built on. started, if any, is called once all run. The error is the first part's
// that failed.
func supervise(ctx context.Context, started func(), parts ...part) error {
	ended := make(chan error, len(parts))
	var up []*running
	err := startAll(ctx, parts, ended, &up)
	if err == nil && ctx.Err() == nil {
		if started != nil {
			started()
		}
		err = waitEnd(ctx, ended)
	}
	for i := len(up) - 1; i >= 0; i-- {
		err = errors.Join(err, up[i].stop())
	}
	return err
}

// startAll stops early, without an error, when ctx ends.
func startAll(ctx context.Context, parts []part, ended chan error, up *[]*running) error {
	for _, p := range parts {
		r := start(ctx, p, ended)
		*up = append(*up, r)
		if p.ready == nil {
			continue
		}
		select {
		case <-p.ready:
		case err := <-ended:
			return err
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func waitEnd(ctx context.Context, ended <-chan error) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}

// running is a part that was started.
type running struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done closes, only if the part failed while it was being stopped
}

// start runs p on a context that outlives ctx, so that it can be ended in its turn. If p ends before it is told to,
// ended hears why.
func start(ctx context.Context, p part, ended chan<- error) *running {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		err := p.run(own)
		switch {
		case own.Err() == nil && err == nil:
			ended <- fmt.Errorf("%s: ended by itself", p.name)
		case own.Err() == nil:
			ended <- fmt.Errorf("%s: %w", p.name, err)
		case err != nil && !errors.Is(err, context.Canceled):
			r.err = fmt.Errorf("stopping the %s: %w", p.name, err)
		}
	}()
	return r
}

func (r *running) stop() error {
	r.cancel()
	<-r.done
	return r.err
}
