package prober

import (
	"context"
	"math/rand/v2"
	"time"

	v1 "k8s.io/api/core/v1"
)

// maxJitter is the most a first question is put off, so that a hundred probes that begin together do not stay together.
// It is short on purpose: a person waits for the first answer.
const maxJitter = 100 * time.Millisecond

// Options say what a Prober asks, how often, and whom it tells.
type Options struct {
	Check        Check
	Threshold    Threshold
	Up           bool          // the state before the first answer
	InitialDelay time.Duration // from the start of Run
	Period       time.Duration // between the starts of two questions; 0: ten seconds
	Timeout      time.Duration // for one answer; 0: one second

	// Early, if not 0, is the first wait after a bad answer while the state has never been up; it doubles up to
	// Period. For a probe whose early bad answers have no consequence it brings the first good one sooner.
	Early time.Duration

	// Gate, if not nil, is closed when asking may begin.
	Gate <-chan struct{}

	// Report hears of every answer, in Run's goroutine; asking ends when it returns false.
	Report func(Report) (more bool)
}

// A Report is one answer and what it did to the state.
type Report struct {
	Answer
	Took      time.Duration // from the question to the answer
	Up        bool          // the state now
	Flipped   bool          // this answer changed it
	Exhausted bool          // so many bad answers in a row that the failure threshold is reached
	Early     bool          // a bad answer from before the state was ever up, in the Early phase
}

// FromProbe gives the options that p sets, with Kubernetes' defaults for those it leaves out.
func FromProbe(p *v1.Probe) Options {
	seconds := func(n, otherwise int32) time.Duration {
		if n <= 0 {
			n = otherwise
		}
		return time.Duration(n) * time.Second
	}
	count := func(n, otherwise int32) int {
		if n <= 0 {
			n = otherwise
		}
		return int(n)
	}
	return Options{
		Threshold:    Threshold{Success: count(p.SuccessThreshold, 1), Failure: count(p.FailureThreshold, 3)},
		InitialDelay: seconds(p.InitialDelaySeconds, 0),
		Period:       seconds(p.PeriodSeconds, 10),
		Timeout:      seconds(p.TimeoutSeconds, 1),
	}
}

// A Prober asks one question again and again.
type Prober struct {
	opts   Options
	jitter time.Duration
}

// New makes a Prober; Run starts it.
func New(opts Options) *Prober {
	if opts.Period <= 0 {
		opts.Period = 10 * time.Second
	}
	if opts.Timeout <= 0 {
		opts.Timeout = time.Second
	}
	return &Prober{opts: opts, jitter: rand.N(min(maxJitter, opts.Period/10) + 1)}
}

// Run asks until ctx ends or Report has heard enough. It always returns nil.
func (p *Prober) Run(ctx context.Context) error {
	begun := time.Now()
	if p.opts.Gate != nil {
		select {
		case <-p.opts.Gate:
		case <-ctx.Done():
			return nil
		}
	}
	state, early := Started(p.opts.Up), p.opts.Early
	next := max(p.opts.InitialDelay-time.Since(begun), 0) + p.jitter
	for sleep(ctx, next) {
		asked := time.Now()
		answer := p.ask(ctx)
		if ctx.Err() != nil {
			return nil // an answer that was cut short says nothing
		}
		report := observe(&state, answer, p.opts.Threshold)
		report.Took = time.Since(asked)
		period := p.opts.Period
		if state.Up {
			early = 0
		} else if early > 0 && early < period {
			period, early, report.Early = early, 2*early, answer.Verdict != Good
		}
		if !p.opts.Report(report) {
			return nil
		}
		next = max(period-time.Since(asked), 0)
	}
	return nil
}

// observe counts answer, if it says anything, and moves state on.
func observe(state *State, answer Answer, t Threshold) Report {
	report := Report{Answer: answer}
	if answer.Verdict != Unknown {
		*state, report.Flipped = state.Observe(answer.Verdict == Good, t)
		report.Exhausted = state.Exhausted(t)
	}
	report.Up = state.Up
	return report
}

func (p *Prober) ask(ctx context.Context) Answer {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	return p.opts.Check(ctx)
}

// sleep waits, and tells whether ctx is still going on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
