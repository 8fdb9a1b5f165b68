package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

const (
	recordFile = "run.json"
	keptLogs   = 5 // of each container, the present one included
)

// A runRecord is what the next agent needs to know of a container's last run if this one is killed.
type runRecord struct {
	Attempt int32  `json:"attempt"` // counts from 0, as restartCount does
	PID     int    `json:"pid"`     // of the leader, and so of the group; 0: it has ended
	Start   uint64 `json:"start"`   // of the leader, in clock ticks after boot
	Session int    `json:"session"`
	Boot    string `json:"boot"`
}

// readRunRecord reads the record in the directory of a container.
func readRunRecord(dir string) (runRecord, error) {
	var r runRecord
	raw, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("reading %s of %s: %w", recordFile, dir, err)
	}
	return r, nil
}

// write replaces the record in one step, so that a kill at any moment leaves the old one or the new one.
func (r runRecord) write(dir string) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing the run record: %w", err)
	}
	path := filepath.Join(dir, recordFile)
	if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
		return fmt.Errorf("writing the run record: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing the run record: %w", err)
	}
	return nil
}

// containerDir makes the directory of a container: what is in it is for the agent's own user only.
func containerDir(dataDir, uid, name string) (string, error) {
	if !filepath.IsLocal(uid) || filepath.Base(uid) != uid || filepath.Base(name) != name {
		return "", fmt.Errorf("pod %q, container %q: not fit to be the name of a directory", uid, name)
	}
	dir := filepath.Join(dataDir, "pods", uid, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making a container's directory: %w", err)
	}
	return dir, nil
}

// openLog makes the log of run attempt, and removes the one that is too many.
func openLog(dir string, attempt int32) (*os.File, error) {
	old := filepath.Join(dir, strconv.Itoa(int(attempt)-keptLogs)+".log")
	if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing an old log: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(int(attempt))+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND,
		0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return file, nil
}

// removeStrays removes the directories of Pods that known does not know.
func removeStrays(dataDir string, known func(uid string) bool) error {
	entries, err := os.ReadDir(filepath.Join(dataDir, "pods"))
	if err != nil {
		return fmt.Errorf("looking for directories of old pods: %w", err)
	}
	var all error
	for _, entry := range entries {
		if !known(entry.Name()) {
			all = errors.Join(all, os.RemoveAll(filepath.Join(dataDir, "pods", entry.Name())))
		}
	}
	return all
}
