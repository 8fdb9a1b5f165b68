package endpoints

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestPace(t *testing.T) {
	start := time.Unix(0, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	type step struct {
		ms     int // since the start
		change int // so many changes come
		write  int // a write begins, and is to merge so many; 0: none begins
		wait   int // ms to wait, after all that
	}
	for name, steps := range map[string][]step{
		"nothing waits":                               {{0, 0, 0, 0}},
		"the first change is written at once":         {{0, 1, 0, 0}, {1, 0, 1, 0}},
		"one change after another":                    {{0, 1, 1, 0}, {3, 1, 1, 0}, {6, 1, 1, 0}, {9, 1, 0, 0}},
		"two at once wait until a lull":               {{0, 2, 0, 10}, {4, 0, 0, 6}, {10, 0, 2, 0}},
		"every change of a storm begins a new lull":   {{0, 2, 0, 10}, {9, 1, 0, 10}, {18, 1, 0, 10}, {28, 0, 4, 0}},
		"no change waits longer than the longest":     {{0, 2, 0, 10}, {95, 1, 0, 5}, {99, 1, 0, 1}, {100, 1, 5, 0}},
		"in a storm a single change waits":            {{0, 2, 2, 0}, {11, 1, 0, 10}, {21, 0, 1, 0}},
		"a write with one change ends the storm":      {{0, 2, 2, 0}, {11, 1, 1, 0}, {12, 1, 0, 0}},
		"a look at what was written ends no storm":    {{0, 2, 2, 0}, {1, 0, 0, 0}, {2, 1, 0, 10}},
		"what comes during a write waits for its own": {{0, 1, 1, 0}, {2, 3, 0, 10}, {12, 0, 3, 0}},
		"the first change after a storm's quiet":      {{0, 2, 2, 0}, {99, 0, 0, 0}, {100, 1, 1, 0}},
		"a storm that goes on is never quiet":         {{0, 2, 2, 0}, {60, 2, 2, 0}, {120, 1, 0, 10}},
	} {
		t.Run(name, func(t *testing.T) {
			var p debounce
			for i, s := range steps {
				for range s.change {
					p.change(at(s.ms), time.Time{})
				}
				if s.write > 0 {
					if got := p.take().changes; got != s.write {
						t.Errorf("step %d: the write merges %d changes, want %d", i, got, s.write)
					}
				}
				if got := p.due(at(s.ms)); got != time.Duration(s.wait)*time.Millisecond {
					t.Errorf("step %d: wait %s, want %d ms", i, got, s.wait)
				}
			}
		})
	}
}

func TestPacesForgetTheIdle(t *testing.T) {
	p, start := newBatcher(), time.Unix(0, 0)
	key := types.NamespacedName{Namespace: "default", Name: "web"}
	due := func(what string, want time.Duration, wanted bool) {
		t.Helper()
		if wait, is := p.due(key, start); wait != want || is != wanted {
			t.Errorf("%s: it is wanted %v in %s, want %v in %s", what, is, wait, wanted, want)
		}
	}
	due("at first", 0, false)
	p.change(key, start, time.Time{})
	due("after a change", 0, true)
	if got := p.take(key).changes; got != 1 || len(p.byKey) != 0 {
		t.Errorf("the write merges %d changes, want 1; and %d Services are remembered", got, len(p.byKey))
	}
	if got := p.take(key).changes; got != 0 {
		t.Errorf("a write without a change merges %d", got)
	}
	p.look(key)
	due("to be looked at", 0, true)
	p.failed(key, p.take(key))
	due("after a failure", 0, true)
	p.take(key)
	due("after a look", 0, false)
	for range 2 {
		p.change(key, start, time.Time{})
	}
	due("with two changes", lull, true)
	p.forget(key)
	due("though it is gone", lull, true) // that it is, is a change that is to be seen to
	p.take(key)
	p.forget(key)
	if len(p.byKey) != 0 {
		t.Error("a Service that is gone is still remembered")
	}
	p.look(key)
	p.reset()
	due("after a reset", 0, false)
}

// The first trigger of a batch is its own, also if the batch fails at first.
func TestPaceTriggers(t *testing.T) {
	p := newBatcher()
	key := types.NamespacedName{Namespace: "default", Name: "web"}
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	p.change(key, at(10), at(9))
	p.change(key, at(11), time.Time{})
	p.change(key, at(12), at(8))
	b := p.take(key)
	if !b.trigger.Equal(at(8)) {
		t.Errorf("the batch was triggered at %s, want %s", b.trigger, at(8))
	}
	p.failed(key, b)
	p.change(key, at(20), at(19))
	if again := p.take(key); !again.trigger.Equal(at(8)) {
		t.Errorf("after a failure the batch was triggered at %s, want %s", again.trigger, at(8))
	}
	p.change(key, at(30), time.Time{})
	if b := p.take(key); !b.trigger.IsZero() {
		t.Errorf("a change that does not tell when was triggered at %s", b.trigger)
	}
}
