package nft

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// lockName is the name of an abstract socket. Such names belong to a network namespace, as tables do. The kernel
// releases the name when the process ends, even after a crash.
const lockName = "@viaduct-nft"

// ErrHeld means that another process programs the Services of this host.
var ErrHeld = errors.New("another viaduct process carries the Services of this host")

// A hostLock keeps two processes from programming the same tables.
type hostLock struct{ fd int }

func lockHost() (*hostLock, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("claiming the Services of this host: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: lockName})
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		err = ErrHeld
	case err != nil:
		err = fmt.Errorf("claiming the Services of this host: %w", err)
	default:
		return &hostLock{fd}, nil
	}
	return nil, errors.Join(err, unix.Close(fd))
}

func (l *hostLock) release() error { return unix.Close(l.fd) }
