package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The locks of a data directory. One server owns the store, and one agent owns the Pods.
const (
	ServerLock = "lock"
	AgentLock  = "agent.lock"
)

// A lock keeps a second process from using the same state. It is an flock(2), so the kernel releases it when the
// process ends for any reason. The content of the file is information for people.
type lock struct{ file *os.File }

// A Holder describes the process that holds a lock, as the lock file names it.
type Holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// A HeldError is returned if another process holds a lock.
type HeldError struct {
	Path string
	By   Holder // PID is 0 if the process has not written the file yet
}

func (e HeldError) Error() string {
	if e.By.PID == 0 {
		return fmt.Sprintf("%s is held by another process", e.Path)
	}
	return fmt.Sprintf("%s is held by process %d (%s) since %s; stop it first, or choose another --data-dir",
		e.Path, e.By.PID, e.By.Command, e.By.Since.Local().Format(time.DateTime))
}

// Lock takes the named locks of dir, or none of them. It does not wait: it returns a HeldError if a lock is held by
// another process or by this one. release gives all of them back.
func Lock(dir string, names ...string) (release func(), err error) {
	var held []*lock
	release = func() {
		for _, l := range held {
			l.release()
		}
	}
	for _, name := range names {
		l, err := take(dir, name)
		if err != nil {
			release()
			return nil, fmt.Errorf("locking the data directory: %w", err)
		}
		held = append(held, l)
	}
	return release, nil
}

func take(dir, name string) (*lock, error) {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // close-on-exec, so Pods do not inherit the lock
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, HeldError{Path: path, By: readHolder(path)}
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	l := &lock{file: f}
	if err := l.writeHolder(); err != nil {
		l.release()
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	return l, nil
}

func (l *lock) writeHolder() error {
	text, err := json.Marshal(Holder{PID: os.Getpid(), Command: strings.Join(os.Args, " "), Since: time.Now()})
	if err != nil {
		return err
	}
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err = l.file.WriteAt(append(text, '\n'), 0)
	return err
}

// release keeps the file. If it were removed, two processes could lock two files of one name.
func (l *lock) release() { l.file.Close() }

func readHolder(path string) Holder {
	var h Holder
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &h) != nil {
		return Holder{}
	}
	return h
}
