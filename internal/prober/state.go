package prober

// A Threshold says how many answers in a row it takes to change a state.
type Threshold struct {
	Success int // to become up; less than 1 counts as 1
	Failure int // to become down; less than 1 counts as 1
}

// A State is whether something counts as up, and how far along it is to the opposite. The zero value is down, with no
// answer counted yet. It is a value: Observe returns the next one.
type State struct {
	Up     bool
	streak int  // answers in a row that were the same, including the last
	last   bool // what they were; means nothing while streak is 0
}

// Started gives the state before the first answer: a liveness probe starts up, readiness and startup probes down.
func Started(up bool) State { return State{Up: up} }

// Observe counts one answer. flipped tells whether Up changed by it.
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

// Streak is how many answers in a row were the same, the last included. Zero: none has been counted.
func (s State) Streak() int { return s.streak }

// Exhausted tells whether so many answers in a row were bad that a liveness or startup probe gives the container up.
func (s State) Exhausted(t Threshold) bool {
	return s.streak > 0 && !s.last && s.streak >= max(t.Failure, 1)
}
