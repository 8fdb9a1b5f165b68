package process

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	line := "42 (a) b (c) S 7 40 39 0 -1 4194560 1 0 0 0 150 50 3 2 20 0 1 0 777 1000 2 0"
	got, err := parseStat(line)
	if want := (procStat{PID: 42, Group: 40, Session: 39, Start: 777, CPU: 2050 * time.Millisecond,
		RSS: 2 * uint64(os.Getpagesize())}); err != nil || got != want {
		t.Errorf("parsed %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "42", "42 (a) S", "x (a) S 7 40 39 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 777",
		"42 (a) S 7 x 39 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 777"} {
		if got, err := parseStat(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("42 (a) b (c) S 7 40 39 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1000 1 0")
	f.Add("1 () Z")
	f.Add(")")
	f.Fuzz(func(t *testing.T, line string) {
		if s, err := parseStat(line); err != nil && s.Start != 0 {
			t.Errorf("%q: an error and a start time: %+v, %v", line, s, err)
		}
	})
}
