package healthcheck

import (
	"testing"
	"time"

	"viaduct/internal/annotations"
)

func parse(t *testing.T, value string) annotations.Check {
	t.Helper()
	c, err := annotations.ParseCheck(value)
	if err != nil {
		t.Fatal(err)
	}
	return *c
}

// observe gives results to s, a letter each: + good, - bad. It returns the states after each: U for up, D for down.
func observe(s flapState, check annotations.Check, now *time.Time, every time.Duration, results string) (flapState,
	string) {
	var states []byte
	for _, a := range results {
		*now = now.Add(every)
		cause := "refused"
		if a == '+' {
			cause = ""
		}
		s, _ = s.observe(*now, a == '+', cause, check)
		state := byte('D')
		if s.state.Up {
			state = 'U'
		}
		states = append(states, state)
	}
	return s, string(states)
}

func TestRiseAndFall(t *testing.T) {
	for _, tt := range []struct {
		check         string
		up            bool
		answers, want string
	}{
		{"tcp", true, "+++", "UUU"},
		{"tcp", true, "-+-+-+", "UUUUUU"}, // one bad result has no effect
		{"tcp", true, "--", "UD"},
		{"tcp", false, "++", "DU"},
		{"tcp", false, "+-+-", "DDDD"},
		{"tcp fall=1 rise=1", true, "-+", "DU"},
		{"tcp fall=3", true, "--+---", "UUUUUD"},
		{"tcp", true, "--++", "UDDU"}, // the first fall has no consequence
	} {
		now := time.Unix(0, 0)
		if _, got := observe(newFlapState(tt.up), parse(t, tt.check), &now, 2*time.Second, tt.answers); got != tt.want {
			t.Errorf("%s: %s makes %s, want %s", tt.check, tt.answers, got, tt.want)
		}
	}
}

// An address that flaps has to answer for longer after each fall, until it was up for stableAfter.
func TestFlapping(t *testing.T) {
	check := parse(t, "tcp rise=1 fall=1")
	now := time.Unix(0, 0)
	s := newFlapState(true)
	for i, want := range []int{1, 1, 4, 8, 16, 32, 64, 120, 120} { // good results, a second apart, until it is up
		s, _ = observe(s, check, &now, time.Second, "-")
		n := 0
		for !s.state.Up && n < 1000 {
			s, _ = observe(s, check, &now, time.Second, "+")
			n++
		}
		if n-1 != want && n != want {
			t.Errorf("fall %d: up after %d good answers, want %d", i, n, want)
		}
	}
	now = now.Add(stableAfter)
	s, _ = observe(s, check, &now, time.Second, "-")
	if _, got := observe(s, check, &now, time.Second, "+"); got != "U" {
		t.Errorf("after stableAfter it is %s, want U at once", got)
	}
}

func TestNextProbe(t *testing.T) {
	check := parse(t, "tcp interval=2s")
	now := time.Unix(0, 0)
	for answers, want := range map[string]time.Duration{
		"+": 2 * time.Second, "-": 200 * time.Millisecond, "--": 2 * time.Second, "--+": 200 * time.Millisecond,
		"--++": 2 * time.Second,
	} {
		if s, _ := observe(newFlapState(true), check, &now, time.Second, answers); s.next(check) != want {
			t.Errorf("after %s it waits %v, want %v", answers, s.next(check), want)
		}
	}
}
