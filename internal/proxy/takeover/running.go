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

// Running lists the processes called kube-proxy that work in the network namespace of the calling thread. It sees those
// that this process's /proc shows; in a container without the host's processes there are none.
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
			continue // it has ended, or is another's
		}
		folder := filepath.Dir(name)
		there, err := os.Readlink(filepath.Join(folder, "ns", "net"))
		gone := errors.Is(err, fs.ErrNotExist) // it has ended, and its parent has not noticed yet
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

// StillRuns says in words that the processes of Running keep their rules from being removed.
func StillRuns(pids []int) string {
	list := fmt.Sprint(pids)
	return fmt.Sprintf("kube-proxy still runs on this host (%s %s) and would put its rules back: end it first",
		count(len(pids), "process", "processes"), list[1:len(list)-1])
}
