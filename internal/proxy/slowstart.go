package proxy

import (
	"time"

	"viaduct/internal/routing"
)

// slowStarts are the Services with an endpoint that does not have its full weight yet, and when their weights change
// next. There is one timer, for the earliest. All of it belongs to the loop's goroutine.
type slowStarts struct {
	next  map[routing.Name]time.Time
	kick  func() // has the loop run
	timer *time.Timer
}

func newSlowStarts(kick func()) *slowStarts {
	return &slowStarts{next: map[routing.Name]time.Time{}, kick: kick}
}

// due lists the Services whose weights have changed by now, and forgets when that was to be.
func (s *slowStarts) due(now time.Time) (names []routing.Name) {
	for _, name := range sortedNames(s.next) {
		if !s.next[name].After(now) {
			names = append(names, name)
		}
	}
	return names
}

// update notes when the weights of a Service of t change next.
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

// resolve is t with the weights of now. It is t itself while there is no slow start.
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

// arm has the loop run at the next change.
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

// stop ends the timer.
func (s *slowStarts) stop() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}
