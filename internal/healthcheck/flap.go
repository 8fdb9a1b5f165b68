package healthcheck

import (
	"time"

	"viaduct/internal/annotations"
	"viaduct/internal/prober"
)

const (
	// stableAfter is how long an address must have been up for its next fall not to count as flapping.
	stableAfter = time.Minute
	// freeFalls is how many falls in a row have no consequence: a program that is restarted may fail twice.
	freeFalls = 1
	// firstHold is how long a flapping address must answer before it counts as up again. Each further fall doubles it, up
	// to longestHold.
	firstHold   = 4 * time.Second
	longestHold = 2 * time.Minute
)

// A flapState combines the results of one address: the rise and fall thresholds, and the damping of an address that
// flaps. It is pure: callers pass the time.
type flapState struct {
	state     prober.State
	probed    bool
	since     time.Time // when Up last changed; zero: never
	goodSince time.Time // when the current run of good results began
	falls     int       // falls in a row without stableAfter between them
	cause     string    // why the last probe failed; "": it did not
}

// newFlapState is the state of an address that counts as up, or as down, until its first result.
func newFlapState(up bool) flapState { return flapState{state: prober.Started(up)} }

// observe counts one result.
func (s flapState) observe(now time.Time, ok bool, cause string, check annotations.Check) (next flapState,
	flipped bool) {
	if ok && (!s.probed || !s.good()) {
		s.goodSince = now
	}
	s.probed, s.cause = true, cause
	state, flipped := s.state.Observe(ok, threshold(check))
	if flipped && ok && now.Sub(s.goodSince) < s.hold() {
		state.Up, flipped = false, false // held down; the run of good results goes on
	}
	s.state = state
	if flipped && !ok {
		if s.since.IsZero() || now.Sub(s.since) >= stableAfter {
			s.falls = 0
		} else {
			s.falls++
		}
	}
	if flipped {
		s.since = now
	}
	return s, flipped
}

func threshold(check annotations.Check) prober.Threshold {
	return prober.Threshold{Success: check.Rise, Failure: check.Fall}
}

// good reports whether the last result was good.
func (s flapState) good() bool { return s.cause == "" }

// hold is how long results must be good before the address counts as up again.
func (s flapState) hold() time.Duration {
	if s.falls <= freeFalls {
		return 0
	}
	return min(firstHold<<min(s.falls-freeFalls-1, 10), longestHold)
}

// next is the time from one probe to the next. A result that may flip the state is confirmed after a tenth of the
// interval.
func (s flapState) next(check annotations.Check) time.Duration {
	if s.probed && s.good() != s.state.Up && (s.state.Up || s.hold() == 0) {
		return check.Interval / 10
	}
	return check.Interval
}
