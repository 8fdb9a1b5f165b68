package proxy

import (
	"time"

	"viaduct/internal/routing"
)

// slowStarts are the Services in slow start, which have an endpoint without its full weight. next is when their weights
// change next. One timer waits for the earliest change. All of it belongs to the loop's goroutine.
type slowStarts struct {
	next  map[routing.Name]time.Time
	kick  func() // makes the loop run
	timer *time.Timer
}

func newSlowStarts(kick func()) *slowStarts {
	return &slowStarts{next: map[routing.Name]time.Time{}, kick: kick}
}

// due returns the Services whose weights have changed by now.
func (s *slowStarts) due(now time.Time) (names []routing.Name) {
	for _, name := range sortedNames(s.next) {
		if !s.next[name].After(now) {
			names = append(names, name)
		}
	}
	return names
}

// update records when the weights of a Service in t change next.
func (s *slowStarts) update(t *routing.Table, name routing.Name, now time.Time) {
	delete(s.next, name)
	entry, _ := t.Entry(name)
	for _, f := range entry.Frontends {
		next, ramping := f.NextStep(now)
		if was, known := s.next[name]; ramping && (!known || next.Before(was)) {
			s.next[name] = next
		}
	}
}

// resolve returns t with the weights at now. Without a slow start it returns t itself.
func (s *slowStarts) resolve(t *routing.Table, now time.Time) *routing.Table {
	var entries []routing.Entry
	for _, name := range sortedNames(s.next) {
		entry, _ := t.Entry(name)
		resolved := make([]routing.Frontend, len(entry.Frontends))
		for i, f := range entry.Frontends {
			resolved[i] = f.At(now)
		}
		entry.Frontends = resolved
		entries = append(entries, entry)
	}
	if len(entries) == 0 {
		return t
	}
	resolved, _ := t.With(entries...)
	return resolved
}

// arm starts the timer for the next change of weights. The timer makes the loop run.
func (s *slowStarts) arm(now time.Time) {
	s.stop()
	var first time.Time
	for _, at := range s.next {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	if !first.IsZero() {
		s.timer = time.AfterFunc(first.Sub(now), s.kick)
	}
}

// stop stops the timer.
func (s *slowStarts) stop() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}
