// Package loop runs a function when kicked: any number of kicks while it runs make one more run, runs keep a distance,
// and a run that failed is repeated with growing pauses. It knows nothing of what the function does and keeps no queue
// of what is to be done: the function looks for itself.
package loop

import (
	"context"
	"log/slog"
	"time"
)

// Options say how often a Loop runs. The zero Options run at once whenever kicked.
type Options struct {
	Interval   time.Duration // the least time from the end of one run to the start of the next; 0: none
	FirstRetry time.Duration // the pause after the first failure, doubled by each further one; 0: 100 ms
	LastRetry  time.Duration // the longest pause; 0: 30 s
	Log        *slog.Logger  // told of failures at Debug; nil: nobody is
}

// A Loop runs one function, never twice at once. Make it with New.
type Loop struct {
	run    func(context.Context) error
	opts   Options
	kicked chan struct{} // holds one token while a kick has not been answered
}

// New makes a Loop of run, which Run starts.
func New(run func(context.Context) error, opts Options) *Loop {
	if opts.FirstRetry <= 0 {
		opts.FirstRetry = 100 * time.Millisecond
	}
	if opts.LastRetry <= 0 {
		opts.LastRetry = 30 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Loop{run: run, opts: opts, kicked: make(chan struct{}, 1)}
}

// Kick asks for a run that starts after this moment. It never blocks, may be called by any goroutine, and before Run.
func (l *Loop) Kick() {
	select {
	case l.kicked <- struct{}{}:
	default: // a run that has not started yet will see whatever this kick is about
	}
}

// Run runs the function once for every kick it has not answered yet, until ctx ends; then it returns nil. A kick also
// cuts the pause after a failure short.
func (l *Loop) Run(ctx context.Context) error {
	retry := newTimer()
	defer retry.Stop()
	for pause := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-l.kicked:
		case <-retry.C:
		}
		retry.Stop()
		if pause = l.once(ctx, pause); pause > 0 {
			retry.Reset(pause)
		}
		wait(ctx, l.opts.Interval)
	}
}

// once runs the function and says after which pause to repeat it: 0 after success.
func (l *Loop) once(ctx context.Context, last time.Duration) time.Duration {
	err := l.run(ctx)
	if err == nil || ctx.Err() != nil {
		return 0
	}
	next := min(max(2*last, l.opts.FirstRetry), l.opts.LastRetry)
	l.opts.Log.DebugContext(ctx, "run again after an error", "pause", next, "error", err)
	return next
}

// newTimer is a timer that is not running.
func newTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
