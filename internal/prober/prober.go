package prober

import (
	"context"
	"math/rand/v2"
	"time"

	v1 "k8s.io/api/core/v1"
)

// maxJitter bounds the random delay of the first check. Without it, a hundred probes that start together would stay
// together. It is short because a person waits for the first answer.
const maxJitter = 100 * time.Millisecond

// Options say what a Prober checks, how often, and where it reports.
type Options struct {
	Check        Check
	Threshold    Threshold
	Up           bool          // the state before the first answer
	InitialDelay time.Duration // from the start of Run
	Period       time.Duration // between the starts of two checks; 0: 10 s
	Timeout      time.Duration // for one check; 0: 1 s

	// Early is the first pause after a bad answer while the state has never been up; it doubles up to Period. 0: Period.
	// It finds the first good answer sooner, and suits a probe whose early bad answers have no consequence.
	Early time.Duration

	// Gate is closed when the checks may begin; nil: they begin at once.
	Gate <-chan struct{}

	// Report is called with every answer, in Run's goroutine. The checks end when it returns false.
	Report func(Report) (more bool)
}

// A Report is one answer and its effect on the state.
type Report struct {
	Answer
	Took      time.Duration // duration of the check
	Up        bool          // the state now
	Flipped   bool          // this answer changed it
	Exhausted bool          // the failure threshold is reached by bad answers in a row
	Early     bool          // a bad answer of the Early phase, before the state was ever up
}

// FromProbe gives the options of a probe's spec, with the defaults of Kubernetes for fields that are not set.
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

// A Prober repeats one check.
type Prober struct {
	opts   Options
	jitter time.Duration
}

// New makes a Prober. Nothing starts before Run.
func New(opts Options) *Prober {
	if opts.Period <= 0 {
		opts.Period = 10 * time.Second
	}
	if opts.Timeout <= 0 {
		opts.Timeout = time.Second
	}
	return &Prober{opts: opts, jitter: rand.N(min(maxJitter, opts.Period/10) + 1)}
}

// Run repeats the check until ctx ends or Report returns false. It always returns nil.
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
			return nil // a check that was cut short says nothing
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

// observe counts an answer, unless it is Unknown, and updates the state.
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

// sleep waits, and reports whether the time has passed: false if ctx ended before.
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
