package prober

import "testing"

func TestObserve(t *testing.T) {
	tests := []struct {
		name      string
		up        bool
		threshold Threshold
		answers   string // + good, - bad
		want      string // the state after each: U up, d down; a flip is marked by the letter changing
	}{
		{"zero thresholds count as one", false, Threshold{}, "+-+", "UdU"},
		{"rises after two", false, Threshold{Success: 2, Failure: 1}, "++-++", "dUddU"},
		{"a bad one breaks the run", false, Threshold{Success: 2, Failure: 1}, "+-+-++", "dddddU"},
		{"falls after three", true, Threshold{Success: 1, Failure: 3}, "--+---", "UUUUUd"},
		{"stays down", false, Threshold{Success: 1, Failure: 3}, "------", "dddddd"},
		{"stays up", true, Threshold{Success: 3, Failure: 3}, "+++++", "UUUUU"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state, got := Started(tt.up), ""
			for _, answer := range tt.answers {
				before := state.Up
				next, flipped := state.Observe(answer == '+', tt.threshold)
				if flipped != (before != next.Up) {
					t.Errorf("flipped = %v going from up=%v to up=%v", flipped, before, next.Up)
				}
				state = next
				got += map[bool]string{true: "U", false: "d"}[state.Up]
			}
			if got != tt.want {
				t.Errorf("answers %s gave %s, want %s", tt.answers, got, tt.want)
			}
		})
	}
}

func TestExhausted(t *testing.T) {
	threshold := Threshold{Success: 1, Failure: 3}
	state := Started(false)
	if state.Exhausted(threshold) {
		t.Error("exhausted before the first answer")
	}
	for i, want := range []bool{false, false, true, true} {
		if state, _ = state.Observe(false, threshold); state.Exhausted(threshold) != want {
			t.Errorf("after %d bad answers exhausted = %v, want %v", i+1, !want, want)
		}
	}
	if state, _ = state.Observe(true, threshold); state.Exhausted(threshold) || state.Streak() != 1 {
		t.Errorf("a good answer left exhausted = %v, streak %d", state.Exhausted(threshold), state.Streak())
	}
}
