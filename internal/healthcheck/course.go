package healthcheck

import (
	"time"

	"viaduct/internal/annotations"
	"viaduct/internal/prober"
)

const (
	// calm is how long an address must have been up for its next fall not to count as flapping.
	calm = time.Minute
	// forgiven is how many falls without calm between them are nobody's fault: a program that is started anew may need a
	// second try.
	forgiven = 1
	// firstHold is how long an address that flaps must be well before it is up again; it doubles with each time, up to
	// longestHold.
	firstHold   = 4 * time.Second
	longestHold = 2 * time.Minute
)

// A course is what the answers of one address have come to: rise and fall, and patience with one that flaps. It is
// pure: the time comes from outside.
type course struct {
	state prober.State
	asked bool
	since time.Time // when Up last changed; zero: before anything was asked
	well  time.Time // when the good answers in a row began
	falls int       // how often in a row it fell without having been calm
	cause string    // what the last answer said, if it was bad
}

// begin is the course of an address that counts as up, or as down, until it is asked.
func begin(up bool) course { return course{state: prober.Started(up)} }

// observe counts one answer.
func (c course) observe(now time.Time, ok bool, cause string, check annotations.Check) (next course, flipped bool) {
	if ok && (!c.asked || !c.good()) {
		c.well = now
	}
	c.asked, c.cause = true, cause
	state, flipped := c.state.Observe(ok, threshold(check))
	if flipped && ok && now.Sub(c.well) < c.hold() {
		// The streak goes on: the state is as it was, with one more good answer.
		state.Up, flipped = false, false
	}
	c.state = state
	if flipped && !ok {
		if c.since.IsZero() || now.Sub(c.since) >= calm {
			c.falls = 0
		} else {
			c.falls++
		}
	}
	if flipped {
		c.since = now
	}
	return c, flipped
}

func threshold(check annotations.Check) prober.Threshold {
	return prober.Threshold{Success: check.Rise, Failure: check.Fall}
}

// good says whether the last answer was.
func (c course) good() bool { return c.cause == "" }

// hold is how long good answers must go on before c is up again.
func (c course) hold() time.Duration {
	if c.falls <= forgiven {
		return 0
	}
	return min(firstHold<<min(c.falls-forgiven-1, 10), longestHold)
}

// next is how long to wait from one question to the next: an answer that may change the state is confirmed soon.
func (c course) next(check annotations.Check) time.Duration {
	if c.asked && c.good() != c.state.Up && (c.state.Up || c.hold() == 0) {
		return check.Interval / 10
	}
	return check.Interval
}
