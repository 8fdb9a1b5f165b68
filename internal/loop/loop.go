// Package loop runs a function when kicked (a level-triggered reconcile loop without keys). Kicks are debounced: any
// number of kicks during a run cause one more run. Runs keep a minimum interval, and a failed run is retried with a
// growing pause. The package keeps no queue: each run of the function finds out itself what has to be done.
package loop

import (
	"context"
	"log/slog"
	"time"
)

// Options say how often a Loop runs. With the zero Options, every kick runs the function at once.
type Options struct {
	Interval   time.Duration // minimum time from the end of one run to the start of the next; 0: none
	FirstRetry time.Duration // pause after the first failure, doubled by each further failure; 0: 100 ms
	LastRetry  time.Duration // longest pause; 0: 30 s
	Log        *slog.Logger  // logs failures at level Debug; nil: no log
}

// A Loop runs one function, and never two runs at once. Make it with New.
type Loop struct {
	run    func(context.Context) error
	opts   Options
	kicked chan struct{} // holds one token while a kick waits for a run
}

// New makes a Loop that calls run. Nothing runs before Run.
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

// Kick requests a run that starts after this moment. It never blocks, and may be called by any goroutine and before
// Run.
func (l *Loop) Kick() {
	select {
	case l.kicked <- struct{}{}:
	default: // a run that has not started yet will see the reason of this kick
	}
}

// Run calls the function after kicks, until ctx ends; then it returns nil. A kick during the pause after a failure ends
// the pause.
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

// once calls the function and gives the pause before the retry; 0 after success.
func (l *Loop) once(ctx context.Context, last time.Duration) time.Duration {
	err := l.run(ctx)
	if err == nil || ctx.Err() != nil {
		return 0
	}
	next := min(max(2*last, l.opts.FirstRetry), l.opts.LastRetry)
	l.opts.Log.DebugContext(ctx, "retrying after an error", "pause", next, "err", err)
	return next
}

// newTimer makes a timer that is stopped.
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
