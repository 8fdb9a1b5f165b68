package endpoints

import (
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// echo is a step of a test of expectations; all are about one object.
type echo func(*testing.T, *expectations)

var echoKey = types.NamespacedName{Namespace: "default", Name: "web"}

// wrote is the answer of a write; "" is not being there.
func wrote(from, to string) echo {
	return func(_ *testing.T, e *expectations) { e.wrote(echoKey, object{kindEndpoints, "web"}, from, to) }
}

// hear is an event.
func hear(version string) echo {
	return func(_ *testing.T, e *expectations) { e.hear(echoKey, object{kindEndpoints, "web"}, version) }
}

func isForeign(want bool) echo {
	return func(t *testing.T, e *expectations) {
		t.Helper()
		if got := e.foreign(echoKey); got != want {
			t.Errorf("somebody else did something: %v, want %v", got, want)
		}
	}
}

func isStale(cached string, want bool) echo {
	return func(t *testing.T, e *expectations) {
		t.Helper()
		if got := e.stale(echoKey, func(object) string { return cached }); got != want {
			t.Errorf("with %q cached, the cache is behind: %v, want %v", cached, got, want)
		}
	}
}

func waits(d time.Duration) echo { return func(*testing.T, *expectations) { time.Sleep(d) } }

// What the cache shows and what events tell, in the orders in which they may come.
func TestExpectations(t *testing.T) {
	for name, steps := range map[string][]echo{
		"nothing happens":                     {isForeign(false), isStale("1", false)},
		"the cache does not show a write yet": {wrote("1", "2"), isStale("1", true), isStale("2", false)},
		"nor an object that was made":         {wrote("", "2"), isStale("", true), hear("2"), isStale("2", false)},
		"nor that it is gone":                 {wrote("2", ""), isStale("2", true), hear(""), isStale("", false)},
		"an echo is not somebody else":        {wrote("1", "2"), hear("2"), isForeign(false)},
		"nor is one before the answer":        {hear("2"), wrote("1", "2"), isForeign(false), isStale("2", false)},
		"somebody else is told once":          {hear("2"), isForeign(true), isForeign(false)},
		"somebody else after the echo":        {wrote("1", "2"), hear("2"), hear("3"), isForeign(true), isStale("3", false)},
		"somebody else before the answer":     {hear("2"), hear("3"), wrote("1", "2"), isForeign(true), isStale("3", false)},
		"deleted as soon as made":             {wrote("", "2"), hear("2"), hear(""), isForeign(true), isStale("", false)},
		"made again as soon as deleted":       {wrote("2", ""), hear(""), hear("3"), isForeign(true), isStale("3", false)},
		"an echo is one only once":            {wrote("1", "2"), hear("2"), hear("2"), isForeign(true)},
		"a write that was undone unseen":      {wrote("", "2"), waits(expectationLife), isStale("", false)},
		"what comes too late is somebody's":   {wrote("2", ""), waits(expectationLife), hear(""), isForeign(true)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newExpectations()
				for _, step := range steps {
					step(t, e)
				}
				waits(expectationLife)(t, e)
				isForeign(false)(t, e)
				isStale("", false)(t, e)
				if len(e.byKey) != 0 {
					t.Errorf("something is still remembered: %v", e.byKey)
				}
			})
		})
	}
}
