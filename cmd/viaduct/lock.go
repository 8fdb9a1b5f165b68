package main

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

// A lock keeps a second process from using the same state. It is the kernel's flock, so it goes with the process that
// holds it, however that ends; what the file says is only for people to read.
type lock struct{ file *os.File }

// A holder is what a lock file says about the process that wrote it.
type holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// A heldError says that another process has the lock.
type heldError struct {
	path string
	by   holder // PID 0: it has not said yet
}

func (e heldError) Error() string {
	if e.by.PID == 0 {
		return fmt.Sprintf("%s is held by another process", e.path)
	}
	return fmt.Sprintf("%s is held by process %d (%s) since %s; stop it first, or choose another --data-dir",
		e.path, e.by.PID, e.by.Command, e.by.Since.Local().Format(time.DateTime))
}

// takeLock takes the named lock in dir. It returns a heldError at once if another process, or this one, has it.
func takeLock(dir, name string) (*lock, error) {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // Go opens close-on-exec: Pods must not inherit the lock
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, heldError{path: path, by: readHolder(path)}
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	l := &lock{file: f}
	if err := l.sign(); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func (l *lock) sign() error {
	text, err := json.Marshal(holder{PID: os.Getpid(), Command: strings.Join(os.Args, " "), Since: time.Now()})
	if err != nil {
		return fmt.Errorf("signing the lock: %w", err)
	}
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("signing the lock: %w", err)
	}
	if _, err := l.file.WriteAt(append(text, '\n'), 0); err != nil {
		return fmt.Errorf("signing the lock: %w", err)
	}
	return nil
}

// release lets go. The file stays: removing it would let two processes lock two files of one name.
func (l *lock) release() { l.file.Close() }

func readHolder(path string) holder {
	var h holder
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &h) != nil {
		return holder{}
	}
	return h
}

// takeLocks takes several locks of dir, or none.
func takeLocks(dir string, names ...string) (release func(), err error) {
	var held []*lock
	release = func() {
		for _, l := range held {
			l.release()
		}
	}
	for _, name := range names {
		l, err := takeLock(dir, name)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, l)
	}
	return release, nil
}

// Which command may use what of a data directory: one server owns the store, one agent owns the Pods.
const (
	serverLock = "lock"
	agentLock  = "agent.lock"
)
