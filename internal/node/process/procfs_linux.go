package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc: USER_HZ is 100 on every architecture that Go supports.
const clockTick = time.Second / 100

// A procStat holds the fields of /proc/PID/stat that are used here, see proc_pid_stat(5).
type procStat struct {
	PID, Group, Session int
	Start               uint64 // clock ticks after boot: with the PID it names a process for good
	Zombie              bool
	CPU                 time.Duration // its own and that of children it has waited for
	RSS                 uint64        // resident bytes
}

// readStat reads /proc/PID/stat. An error means that the process does not exist (any more).
func readStat(pid int) (procStat, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(string(raw))
}

// parseStat reads one line of /proc/PID/stat. The second field, the program's name, may hold any bytes, brackets and
// spaces too, so the fields are counted after the last bracket.
func parseStat(line string) (procStat, error) {
	head, tail, found := cutLast(line, ")")
	fields := strings.Fields(tail)
	pid, _, _ := strings.Cut(head, " ")
	if !found || len(fields) < 22 {
		return procStat{}, fmt.Errorf("reading a process's stat: %q is not one", line)
	}
	var number [8]int64
	for i, text := range []string{pid, fields[2], fields[3], fields[19], fields[11], fields[12], fields[13], fields[14]} {
		var err error
		if number[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return procStat{}, fmt.Errorf("reading a process's stat: %w", err)
		}
	}
	pages, err := strconv.ParseInt(fields[21], 10, 64)
	if err != nil {
		return procStat{}, fmt.Errorf("reading a process's stat: %w", err)
	}
	ticks := number[4] + number[5] + number[6] + number[7]
	return procStat{
		PID: int(number[0]), Group: int(number[1]), Session: int(number[2]), Start: uint64(number[3]),
		Zombie: fields[0] == "Z" || fields[0] == "X",
		CPU:    time.Duration(ticks) * clockTick, RSS: uint64(max(pages, 0)) * uint64(os.Getpagesize()),
	}, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// allPIDs lists the processes of the host.
func allPIDs() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil // without /proc no process can be found
	}
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// hasVariable reports whether the process was started with a variable that begins with text ("NAME=value…").
func hasVariable(pid int, text string) bool {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false // it has ended, or is of another user: a process of ours changes its user only as root
	}
	return bytes.HasPrefix(raw, []byte(text)) || bytes.Contains(raw, []byte("\x00"+text))
}

// bootID names this boot of the host: process numbers of another boot mean nothing. It is empty if the host has none.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
