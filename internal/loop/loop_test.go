package loop

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorder is a function for a Loop that notes when it ran.
type recorder struct {
	start time.Time
	took  time.Duration
	fails int // how many runs fail before they succeed
	runs  []time.Duration
}

func (r *recorder) run(context.Context) error {
	r.runs = append(r.runs, time.Since(r.start))
	time.Sleep(r.took) // of synctest's clock
	if r.fails > 0 {
		r.fails--
		return errors.New("not yet")
	}
	return nil
}

// play runs a Loop of r on synctest's clock: kicks come at the given times, and it ends after a minute.
func play(t *testing.T, r *recorder, opts Options, kicks ...time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r.start = time.Now()
		l := New(r.run, opts)
		for _, k := range kicks {
			if k == 0 {
				l.Kick() // before Run
				continue
			}
			time.AfterFunc(k, l.Kick)
		}
		if err := l.Run(ctx); err != nil {
			t.Error("Run:", err)
		}
	})
}

func TestWhenItRuns(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name  string
		r     recorder
		opts  Options
		kicks []time.Duration
		want  []time.Duration
	}{
		{"not kicked", recorder{}, Options{}, nil, nil},
		{"kicked before Run, many times", recorder{}, Options{}, []time.Duration{0, 0, 0}, []time.Duration{0}},
		{"at once after quiet", recorder{}, Options{Interval: 5 * s}, []time.Duration{0, 20 * s}, []time.Duration{0, 20 * s}},
		{"a crowd of kicks makes one more run", recorder{took: 10 * s}, Options{}, []time.Duration{0, 1 * s, 2 * s, 3 * s},
			[]time.Duration{0, 10 * s}},
		{"distance from the end of a run", recorder{took: 2 * s}, Options{Interval: 5 * s}, []time.Duration{0, 1 * s},
			[]time.Duration{0, 7 * s}},
		{"pauses double up to the longest", recorder{fails: 5}, Options{FirstRetry: 1 * s, LastRetry: 4 * s},
			[]time.Duration{0},
			[]time.Duration{0, 1 * s, 3 * s, 7 * s, 11 * s, 15 * s}},
		{"a kick cuts the pause short and it goes on growing", recorder{fails: 3}, Options{FirstRetry: 10 * s},
			[]time.Duration{0, 1 * s},
			[]time.Duration{0, 1 * s, 21 * s, 51 * s}},
		{"success forgets the pause", recorder{fails: 1}, Options{FirstRetry: 2 * s}, []time.Duration{0, 30 * s},
			[]time.Duration{0, 2 * s, 30 * s}},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, &c.r, c.opts, c.kicks...)
			if d := cmp.Diff(c.want, c.r.runs); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		inside := make(chan struct{})
		l := New(func(ctx context.Context) error {
			close(inside)
			<-ctx.Done()
			return ctx.Err()
		}, Options{Interval: time.Hour})
		l.Kick()
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		<-inside
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
