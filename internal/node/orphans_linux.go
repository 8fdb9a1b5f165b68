package node

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// markerName is the variable by which the processes of a Pod are known, whatever they were forked or moved to.
const markerName = "VIADUCT_CONTAINER"

// marker is the value of that variable for what runs out of a data directory: it begins with a hash of the directory,
// so that two agents on one host leave each other's alone.
func marker(dataDir string, parts ...string) string {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(dataDir)) // a hash takes all that is written
	return filepath.Join(append([]string{fmt.Sprintf("%016x", sum.Sum64())}, parts...)...) + "/"
}

// killMarked kills every process whose marker begins with prefix, until none is left, or two seconds have passed: a
// process that keeps forking could outrun any one pass.
func killMarked(prefix string) {
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); {
		if killMarkedOnce(markerName+"="+prefix) == 0 {
			return
		}
		time.Sleep(time.Millisecond) // a killed process takes a moment to go
	}
}

// killMarkedOnce makes one pass, and counts those it found alive.
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

// killIf kills pid if it is still what sure says. The process is held by a file descriptor meanwhile, so its number
// cannot come to mean another one in between.
func killIf(pid int, sure func() bool) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	if !sure() {
		return false
	}
	return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}

// killGroup kills what is left of a process group that an earlier agent made. The group is that one if its leader is
// the process that was recorded; or if the leader is gone and every member is of the session it was of and younger,
// which a group that only came by the same number is not.
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

// killOrphans kills whatever an agent before this one left of the Pods of dataDir.
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

// recordOf notes a process that has just been started.
func recordOf(attempt int32, pid int) runRecord {
	r := runRecord{Attempt: attempt, PID: pid, Boot: bootID()}
	if s, err := readStat(pid); err == nil { // it may have ended already; then the marker is all there is
		r.Start, r.Session = s.Start, s.Session
	}
	return r
}
