// Package healthcheck checks whether addresses outside the cluster's Pods answer: those of manual Endpoints, manual
// EndpointSlices and resolved names. One probe serves all Services that check an address in the same way, and probes
// are spread over time. The package does not know what a Service is, and does not decide what a result means for one.
package healthcheck

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/annotations"
	"viaduct/internal/poller"
	"viaduct/internal/prober"
)

// A Target is one address and port, and how it is checked. The Port of the Check is ignored.
type Target struct {
	Addr  netip.AddrPort
	Check annotations.Check
}

// A Status is the result of the checks of a Target so far.
type Status struct {
	Up    bool
	Known bool      // false: no probe has confirmed Up yet; Up is the value given to SetTargets
	Since time.Time // when Up last changed; zero: it has not changed since the first probe
	Cause string    // why the last probe failed, such as "connection refused"; "": it did not fail
}

// Options configure a Checker.
type Options struct {
	// Changed reports that a Target is up or down now, to all its owners. It is also called once when a probe confirms the
	// value given to SetTargets; then Status.Since is zero. The changes of one Target are reported in order.
	Changed func(owners []types.NamespacedName, target Target, status Status)
	// Concurrency is how many probes may be in flight; 0: 1024. If more addresses do not answer, intervals become longer.
	Concurrency int
	// Rate is the number of probes per second; 0: 2000, which take less than a twentieth of a core. If more are needed,
	// intervals become longer.
	Rate int
	Log  *slog.Logger // nil: no logs
}

// A Checker checks the addresses given to SetTargets while Run runs.
type Checker struct {
	opts    Options
	poller  *poller.Poller[types.NamespacedName, Target, state]
	probes  *probes
	metrics *metrics

	mu     sync.Mutex    // protects warned
	warned time.Duration // the shortest interval of the last warning
}

// state is what a Checker keeps of one Target.
type state struct {
	probe probe
	flap  flapState
	known bool // a probe agreed with flap
}

func (s state) status() Status {
	return Status{Up: s.flap.state.Up, Known: s.known, Since: s.flap.since, Cause: s.flap.cause}
}

// New makes a Checker; Run starts it.
func New(opts Options) *Checker {
	if opts.Concurrency <= 0 {
		opts.Concurrency = 1024
	}
	if opts.Rate <= 0 {
		opts.Rate = 2000
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	c := &Checker{opts: opts, probes: newProbes(), metrics: newMetrics()}
	c.poller = poller.New(poller.Options[types.NamespacedName, Target, state]{
		Concurrency: opts.Concurrency, Poll: c.poll, Changed: c.changed,
	})
	return c
}

// SetTargets replaces the targets of owner; nil removes them. The values say whether a target counts as up until its
// first result. They are used only for targets without an owner so far.
func (c *Checker) SetTargets(owner types.NamespacedName, targets map[Target]bool) {
	c.poller.Set(owner, maps.Keys(targets), func(t Target) (state, time.Time) {
		// The first probes are spread over more time the more targets there are; a single target is checked at once.
		spread := min(t.Check.Interval, time.Duration(c.poller.Len())*200*time.Microsecond)
		return state{probe: c.probes.of(t), flap: newFlapState(targets[t])}, time.Now().Add(rand.N(spread + 1))
	})
	c.warnOfRate()
}

// warnOfRate logs once for each doubling of the shortest interval.
func (c *Checker) warnOfRate() {
	shortest := c.shortestInterval()
	c.mu.Lock()
	defer c.mu.Unlock()
	if shortest <= c.warned*2 || shortest <= annotations.DefaultInterval {
		return
	}
	c.warned = shortest
	c.opts.Log.Warn("many addresses are checked, so each is checked less often", "addresses", c.poller.Len(),
		"interval", shortest, "probes_per_second", c.opts.Rate)
}

// shortestInterval is the shortest interval at which all targets can be checked within the Rate.
func (c *Checker) shortestInterval() time.Duration {
	return time.Duration(c.poller.Len()) * time.Second / time.Duration(c.opts.Rate)
}

// Status returns the status of t; false if t has no owner.
func (c *Checker) Status(t Target) (Status, bool) {
	s, ok := c.poller.State(t)
	if !ok {
		return Status{}, false
	}
	return s.status(), true
}

// Run checks until ctx ends, and returns nil once no probe is in flight.
func (c *Checker) Run(ctx context.Context) error { return c.poller.Run(ctx) }

// poll sends one probe.
func (c *Checker) poll(_ context.Context, p poller.Poll[Target, state]) (poller.Update[state],
	func(context.Context) poller.Update[state]) {
	c.metrics.late.Observe(p.Began.Sub(p.Due).Seconds())
	answer, later := p.State.probe()
	if later == nil {
		return c.update(p.Target, answer, p.Began), nil
	}
	return nil, func(ctx context.Context) poller.Update[state] {
		ctx, cancel := context.WithDeadline(ctx, p.Began.Add(p.Target.Check.Timeout))
		defer cancel()
		return c.update(p.Target, later(ctx), p.Began)
	}
}

// update takes the answer to a probe that was sent at began. An answer changes something if it flips the state, or if
// it is the first that confirms it.
func (c *Checker) update(t Target, answer prober.Answer, began time.Time) poller.Update[state] {
	c.metrics.observe(t.Check.Kind, answer, time.Since(began))
	return func(s *state) (due time.Time, changed bool) {
		wait := t.Check.Interval
		if answer.Verdict != prober.Unknown {
			s.flap, changed = s.flap.observe(time.Now(), answer.Verdict == prober.Good, causeOf(answer), t.Check)
			changed = changed || !s.known && s.flap.good() == s.flap.state.Up
			s.known = s.known || changed
			wait = s.flap.next(t.Check)
		}
		if wait >= t.Check.Interval { // a confirmation is not delayed by the Rate
			wait = max(wait, c.shortestInterval())
		}
		return began.Add(wait - wait/20 + rand.N(wait/20+1)), changed // never later than the interval
	}
}

// changed passes a change on to the owners.
func (c *Checker) changed(owners []types.NamespacedName, t Target, s state) {
	status := s.status()
	if !status.Since.IsZero() {
		c.opts.Log.Info("a checked address changed", "address", t.Addr, "check", t.Check.String(), "up", status.Up, "cause",
			status.Cause)
	}
	c.opts.Changed(owners, t, status)
}

// causeOf is the cause of a failed probe; "" if it did not fail.
func causeOf(answer prober.Answer) string {
	switch {
	case answer.Verdict == prober.Good:
		return ""
	case answer.Output == "":
		return "bad answer"
	}
	return answer.Output
}
