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

// walk puts answers to c, a letter each: + good, - bad, and returns what it is after each, U for up and D for down.
func walk(c course, check annotations.Check, now *time.Time, every time.Duration, answers string) (course, string) {
	var states []byte
	for _, a := range answers {
		*now = now.Add(every)
		cause := "refused"
		if a == '+' {
			cause = ""
		}
		c, _ = c.observe(*now, a == '+', cause, check)
		state := byte('D')
		if c.state.Up {
			state = 'U'
		}
		states = append(states, state)
	}
	return c, string(states)
}

func TestCourse(t *testing.T) {
	for _, tt := range []struct {
		check         string
		up            bool
		answers, want string
	}{
		{"tcp", true, "+++", "UUU"},
		{"tcp", true, "-+-+-+", "UUUUUU"}, // one bad answer means nothing
		{"tcp", true, "--", "UD"},
		{"tcp", false, "++", "DU"},
		{"tcp", false, "+-+-", "DDDD"},
		{"tcp fall=1 rise=1", true, "-+", "DU"},
		{"tcp fall=3", true, "--+---", "UUUUUD"},
		{"tcp", true, "--++", "UDDU"}, // the first fall is forgiven
	} {
		now := time.Unix(0, 0)
		if _, got := walk(begin(tt.up), parse(t, tt.check), &now, 2*time.Second, tt.answers); got != tt.want {
			t.Errorf("%s: %s makes %s, want %s", tt.check, tt.answers, got, tt.want)
		}
	}
}

// An address that falls again and again has to be well for longer each time; one that was calm has not.
func TestFlapping(t *testing.T) {
	check := parse(t, "tcp rise=1 fall=1")
	now := time.Unix(0, 0)
	c := begin(true)
	for i, want := range []int{1, 1, 4, 8, 16, 32, 64, 120, 120} { // good answers, a second apart, until it is up
		c, _ = walk(c, check, &now, time.Second, "-")
		n := 0
		for !c.state.Up && n < 1000 {
			c, _ = walk(c, check, &now, time.Second, "+")
			n++
		}
		if n-1 != want && n != want {
			t.Errorf("fall %d: up after %d good answers, want %d", i, n, want)
		}
	}
	now = now.Add(calm)
	c, _ = walk(c, check, &now, time.Second, "-")
	if _, got := walk(c, check, &now, time.Second, "+"); got != "U" {
		t.Errorf("after a calm minute it is %s, want U at once", got)
	}
}

func TestNextQuestion(t *testing.T) {
	check := parse(t, "tcp interval=2s")
	now := time.Unix(0, 0)
	for answers, want := range map[string]time.Duration{
		"+": 2 * time.Second, "-": 200 * time.Millisecond, "--": 2 * time.Second, "--+": 200 * time.Millisecond,
		"--++": 2 * time.Second,
	} {
		if c, _ := walk(begin(true), check, &now, time.Second, answers); c.next(check) != want {
			t.Errorf("after %s it waits %v, want %v", answers, c.next(check), want)
		}
	}
}
