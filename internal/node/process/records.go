package process

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

const recordFile = "run.json"

// A runRecord is what the next agent needs to know of a container's last run if this one is killed.
type runRecord struct {
	Attempt int32  `json:"attempt"` // counts from 0, as restartCount does
	PID     int    `json:"pid"`     // of the leader, and so of the group; 0: it has ended
	Start   uint64 `json:"start"`   // of the leader, in clock ticks after boot
	Session int    `json:"session"`
	Boot    string `json:"boot"`
}

// recordOf makes the record of a process that has just been started.
func recordOf(attempt int32, pid int) runRecord {
	r := runRecord{Attempt: attempt, PID: pid, Boot: bootID()}
	if s, err := readStat(pid); err == nil { // after an error it has ended: then only its marker can be found
		r.Start, r.Session = s.Start, s.Session
	}
	return r
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
