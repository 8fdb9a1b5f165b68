package prober

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
)

// script answers good for '+', bad for '-', unknown for '?'.
func script(answers string) Check {
	next := 0
	return func(context.Context) Answer {
		verdict := map[byte]Verdict{'+': Good, '-': Bad, '?': Unknown}[answers[next]]
		next++
		return Answer{Verdict: verdict}
	}
}

// play runs a Prober over the whole script and writes down when each answer came, and what it did.
func play(t *testing.T, opts Options, answers string) (log []string) {
	t.Helper()
	begun, left := time.Now(), len(answers)
	opts.Check = script(answers)
	opts.Report = func(r Report) bool {
		entry := fmt.Sprintf("%v", time.Since(begun).Truncate(200*time.Millisecond))
		if r.Flipped {
			entry += " flip"
		}
		if r.Exhausted {
			entry += " exhausted"
		}
		if r.Early {
			entry += " early"
		}
		log = append(log, entry)
		left--
		return left > 0
	}
	if err := New(opts).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return log
}

func TestProber(t *testing.T) {
	gate := make(chan struct{})
	tests := []struct {
		name    string
		opts    Options
		answers string
		want    []string
	}{
		{"every period", Options{Period: 2 * time.Second}, "++", []string{"0s flip", "2s"}},
		{"after the delay", Options{InitialDelay: 5 * time.Second, Period: time.Second, Threshold: Threshold{Failure: 2},
			Up: true},
			"+--", []string{"5s", "6s", "7s flip exhausted"}},
		{"a question that could not be put is not counted", Options{Period: time.Second, Threshold: Threshold{Failure: 2},
			Up: true},
			"-?-", []string{"0s", "1s", "2s flip exhausted"}},
		{"early answers", Options{Period: 10 * time.Second, Early: 2 * time.Second}, "----+-",
			[]string{"0s exhausted early", "2s exhausted early", "6s exhausted early", "14s exhausted", "24s flip",
				"34s flip exhausted"}},
		{"defaults", Options{}, "++", []string{"0s flip", "10s"}},
		{"behind a gate, the delay counts from the start", Options{Period: time.Second, InitialDelay: 4 * time.Second,
			Gate: gate}, "+", []string{"7s flip"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := tt.opts
				if opts.Gate != nil {
					opened := make(chan struct{})
					time.AfterFunc(7*time.Second, func() { close(opened) })
					opts.Gate = opened
				}
				if got := play(t, opts, tt.answers); !slices.Equal(got, tt.want) {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
			})
		})
	}
}

func TestProberBoundsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, took := time.Now(), time.Duration(0)
		opts := Options{Timeout: 3 * time.Second, Check: func(ctx context.Context) Answer {
			<-ctx.Done()
			return Answer{Verdict: Bad}
		}, Report: func(Report) bool { took = time.Since(begun); return false }}
		if err := New(opts).Run(t.Context()); err != nil || took.Truncate(time.Second) != 3*time.Second {
			t.Errorf("err %v, answered after %v", err, took)
		}
	})
}

func TestProberEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		asked := make(chan struct{})
		opts := Options{Timeout: time.Hour, Check: func(ctx context.Context) Answer {
			close(asked)
			<-ctx.Done()
			return Answer{Verdict: Bad}
		}, Report: func(Report) bool { t.Error("an answer that was cut short was reported"); return true }}
		ended := make(chan error, 1)
		go func() { ended <- New(opts).Run(ctx) }()
		<-asked
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		shut := Options{Gate: make(chan struct{})}
		if err := New(shut).Run(ctx); err != nil {
			t.Errorf("behind a gate that stays shut: %v", err)
		}
	})
}

func TestFromProbe(t *testing.T) {
	got := FromProbe(&v1.Probe{})
	if got.Period != 10*time.Second || got.Timeout != time.Second || got.InitialDelay != 0 ||
		got.Threshold != (Threshold{1, 3}) {
		t.Errorf("defaults: %+v", got)
	}
	got = FromProbe(&v1.Probe{PeriodSeconds: 1, TimeoutSeconds: 2, InitialDelaySeconds: 3, SuccessThreshold: 4,
		FailureThreshold: 5})
	if got.Period != time.Second || got.Timeout != 2*time.Second || got.InitialDelay != 3*time.Second ||
		got.Threshold != (Threshold{4, 5}) {
		t.Errorf("as set: %+v", got)
	}
}
