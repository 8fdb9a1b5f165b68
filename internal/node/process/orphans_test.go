package process

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// killGroup kills only the group of the record, and no later process with the same number.
func TestKillGroupSparesOthers(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	mine := recordOf(0, cmd.Process.Pid)
	older, elsewhere := mine, mine
	older.Start--
	elsewhere.Boot = "another"
	for name, r := range map[string]runRecord{"of another start": older, "of another boot": elsewhere,
		"of no process": {Boot: mine.Boot}, "init": {PID: 1, Boot: mine.Boot}} {
		killGroup(r, mine.Boot)
		if s, err := readStat(cmd.Process.Pid); err != nil || s.Zombie {
			t.Fatalf("a record %s killed another process", name)
		}
	}
	killGroup(mine, mine.Boot)
	if err := cmd.Wait(); err == nil {
		t.Error("the recorded process ended by itself, want it killed")
	}
}
