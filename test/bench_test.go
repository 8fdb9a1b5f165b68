package test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestBenchMeasures runs every measurement of bench/ for a moment: not how fast things are is tested, but that it can
// still be told.
func TestBenchMeasures(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it builds and runs bench/ for some seconds")
	}
	cmd := exec.Command("go", "run", "viaduct/bench", "-quick", "-binary", viaductPath(t))
	var says strings.Builder
	cmd.Stderr = &says
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bench: %v\n%s%s", err, out, says.String())
	}
	const measured = 33
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != measured+2 || !strings.HasPrefix(lines[0], "| what |") {
		t.Fatalf("a table of %d lines, want a head and %d measurements:\n%s", len(lines), measured, out)
	}
	for _, line := range lines[2:] {
		if len(strings.Split(line, "|")) != 5 {
			t.Errorf("not a row of three: %s", line)
		}
	}
}
