package process

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// markerName is the variable that marks the processes of a Pod, whatever they were forked from or moved to.
const markerName = "VIADUCT_CONTAINER"

// marker is the value of that variable for the processes of one data directory. It begins with a hash of the directory,
// so that two agents on one host do not kill each other's processes.
func marker(dataDir string, parts ...string) string {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(dataDir)) // a hash takes all that is written
	return filepath.Join(append([]string{fmt.Sprintf("%016x", sum.Sum64())}, parts...)...) + "/"
}

// killMarked kills every process whose marker begins with prefix, until none is left or two seconds have passed. One
// pass is not enough: a process that keeps forking could outrun it.
func killMarked(prefix string) {
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); {
		if killMarkedOnce(markerName+"="+prefix) == 0 {
			return
		}
		time.Sleep(time.Millisecond) // a killed process takes a moment to go
	}
}

// killMarkedOnce makes one pass, and counts the processes it found alive.
func killMarkedOnce(text string) (found int) {
	for _, pid := range allPIDs() {
		if pid == os.Getpid() || !hasVariable(pid, text) {
			continue
		}
		if killIf(pid, func() bool { return hasVariable(pid, text) }) {
			found++
		}
	}
	return found
}

// killIf kills pid if confirm says that it is the right process. A file descriptor holds the process meanwhile, so its
// number cannot come to mean another process in between.
func killIf(pid int, confirm func() bool) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	if !confirm() {
		return false
	}
	return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}

// killGroup kills what is left of a process group that an earlier agent made. It is that group if its leader is the
// process in the record. If the leader is gone, a member belongs to it that has the session of the leader and is
// younger: a later group with the same number has no such member.
func killGroup(r runRecord, boot string) {
	if r.PID <= 1 || r.Boot != boot {
		return
	}
	leader, err := readStat(r.PID)
	if err == nil && leader.Start != r.Start {
		return
	}
	for _, pid := range allPIDs() {
		member := func() bool {
			s, err := readStat(pid)
			return err == nil && !s.Zombie && s.Group == r.PID && s.Session == r.Session && s.Start >= r.Start
		}
		if pid != os.Getpid() && member() {
			killIf(pid, member)
		}
	}
}

// killOrphans kills every process that an earlier agent left of the Pods of dataDir.
func killOrphans(dataDir string) error {
	boot := bootID()
	paths, err := filepath.Glob(filepath.Join(dataDir, "pods", "*", "*", recordFile))
	if err != nil {
		return fmt.Errorf("looking for what an earlier agent left: %w", err)
	}
	for _, path := range paths {
		if r, err := readRunRecord(filepath.Dir(path)); err == nil {
			killGroup(r, boot)
		}
	}
	killMarked(marker(dataDir))
	return nil
}
