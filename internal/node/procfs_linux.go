package node

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A procStat is what is needed of /proc/PID/stat.
type procStat struct {
	PID, Group, Session int
	Start               uint64 // clock ticks after boot: with the PID it names a process for good
	Zombie              bool
}

// readStat reads /proc/PID/stat; an error means that there is no such process (any more).
func readStat(pid int) (procStat, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(string(raw))
}

// parseStat reads one line of /proc/PID/stat. The second field, the program's name, may hold anything, brackets and
// spaces too, so the fields are counted after the last bracket.
func parseStat(line string) (procStat, error) {
	head, tail, found := cutLast(line, ")")
	fields := strings.Fields(tail)
	pid, _, _ := strings.Cut(head, " ")
	if !found || len(fields) < 20 {
		return procStat{}, fmt.Errorf("reading a process's stat: %q is not one", line)
	}
	s := procStat{Zombie: fields[0] == "Z" || fields[0] == "X"}
	var err error
	for _, number := range []struct {
		text string
		into *int
	}{{pid, &s.PID}, {fields[2], &s.Group}, {fields[3], &s.Session}} {
		if *number.into, err = strconv.Atoi(number.text); err != nil {
			return procStat{}, fmt.Errorf("reading a process's stat: %w", err)
		}
	}
	if s.Start, err = strconv.ParseUint(fields[19], 10, 64); err != nil {
		return procStat{}, fmt.Errorf("reading a process's stat: %w", err)
	}
	return s, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// allPIDs lists the processes there are now.
func allPIDs() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil // without /proc nobody can be found
	}
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// hasVariable tells whether the process was started with a variable that begins with text ("NAME=value…").
func hasVariable(pid int, text string) bool {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false // ended, or of another user, which none of ours can become without being root
	}
	return bytes.HasPrefix(raw, []byte(text)) || bytes.Contains(raw, []byte("\x00"+text))
}

// bootID names this boot of the host: process numbers of another mean nothing. Empty if the host does not tell.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
