package runtimetest

import (
	"testing"

	"viaduct/internal/node/runtime"
)

func TestFakeConforms(t *testing.T) {
	Run(t, Subject{
		New:      func(*testing.T) runtime.Runtime { return New() },
		Exit:     func(code string) []string { return []string{"exit", code} },
		Print:    func(line string) []string { return []string{"print", line} },
		Sleep:    []string{"sleep"},
		Stubborn: []string{"stubborn"},
		Cat:      []string{"cat"},
		Missing:  []string{"no-such-program"},
		Winsize:  []string{"winsize"},
	})
}
