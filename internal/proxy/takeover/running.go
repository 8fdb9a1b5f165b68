package takeover

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Running lists the processes named kube-proxy in the network namespace of the calling thread, sorted. It finds only
// processes that /proc shows: a container needs the host's PID namespace.
func Running() (pids []int, err error) {
	here, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("finding the network namespace: %w", err)
	}
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || strings.TrimSpace(string(text)) != "kube-proxy" {
			continue // the process has ended, or is another program
		}
		folder := filepath.Dir(name)
		there, err := os.Readlink(filepath.Join(folder, "ns", "net"))
		gone := errors.Is(err, fs.ErrNotExist) // a zombie: it has ended, and its parent has not waited for it yet
		if gone || err == nil && there != here {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(folder)); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// StillRuns is the message that the processes of Running prevent the removal of their rules.
func StillRuns(pids []int) string {
	list := fmt.Sprint(pids)
	return fmt.Sprintf("kube-proxy still runs on this host (%s %s) and would add its rules again: end it first",
		count(len(pids), "process", "processes"), list[1:len(list)-1])
}
