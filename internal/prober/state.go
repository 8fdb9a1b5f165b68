package prober

// A Threshold says how many equal answers in a row change a state.
type Threshold struct {
	Success int // to become up; less than 1 counts as 1
	Failure int // to become down; less than 1 counts as 1
}

// A State says whether a target counts as up, and how many answers in a row spoke for it or against it. The zero value
// is down, with no answer counted yet. It is a value: Observe returns the next one.
type State struct {
	Up     bool
	streak int  // equal answers in a row, including the last
	last   bool // the last answer; undefined while streak is 0
}

// Started gives the state before the first answer: a liveness probe starts up, readiness and startup probes down.
func Started(up bool) State { return State{Up: up} }

// Observe counts one answer. flipped reports whether it changed Up.
func (s State) Observe(ok bool, t Threshold) (next State, flipped bool) {
	next = State{Up: s.Up, streak: 1, last: ok}
	if s.streak > 0 && s.last == ok {
		next.streak = s.streak + 1
	}
	needed := t.Failure
	if ok {
		needed = t.Success
	}
	if ok != s.Up && next.streak >= max(needed, 1) {
		next.Up = ok
		return next, true
	}
	return next, false
}

// Streak is the number of equal answers in a row, including the last; 0: none has been counted.
func (s State) Streak() int { return s.streak }

// Exhausted reports whether the last answers were bad and have reached the failure threshold: then a liveness or
// startup probe has failed for good.
func (s State) Exhausted(t Threshold) bool {
	return s.streak > 0 && !s.last && s.streak >= max(t.Failure, 1)
}
