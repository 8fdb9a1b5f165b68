package healthcheck

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// connector tests whether an address accepts TCP connections, at a third of the cost of a net.Dialer: a test needs no
// entry in the runtime's poller, no goroutine and no timer. An address of this host answers at once. Connections in
// progress share one epoll instance.
type connector struct {
	once  sync.Once
	epoll int // the descriptor of the epoll instance; -1: it could not be made

	mu sync.Mutex // protects the following
	// the number of the last connection; descriptors are reused, so an event might be of an earlier connection
	last    uint64
	waiting map[uint64]chan struct{}
}

func newConnector() *connector { return &connector{waiting: map[uint64]chan struct{}{}} }

// connect starts to connect to at. If that succeeds or fails at once, wait is nil. Otherwise the caller must call wait,
// which returns the result, or the error of ctx, and closes the socket.
func (c *connector) connect(at netip.AddrPort) (wait func(ctx context.Context) error, err error) {
	fd, err := unix.Socket(familyOf(at), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, err
	}
	if done, err := startConnect(fd, at); done {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return func(ctx context.Context) error {
		err := c.wait(ctx, fd)
		if err == nil {
			var number int
			if number, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && number != 0 {
				err = syscall.Errno(number)
			}
		}
		return errors.Join(err, unix.Close(fd))
	}, nil
}

// startConnect starts to connect fd, and reports whether the result is known already.
func startConnect(fd int, at netip.AddrPort) (done bool, err error) {
	// Close with a reset: a probe every second must not fill the host with sockets in TIME_WAIT.
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return true, err
	}
	sa := sockaddrOf(at)
	if err := unix.Connect(fd, sa); err != unix.EINPROGRESS {
		return true, err
	}
	err = unix.Connect(fd, sa)
	return err != unix.EALREADY, err
}

// wait returns when fd is connected or has failed.
func (c *connector) wait(ctx context.Context, fd int) error {
	c.once.Do(c.begin)
	if c.epoll < 0 {
		return errors.ErrUnsupported
	}
	done := make(chan struct{})
	c.mu.Lock()
	c.last++
	number := c.last
	c.waiting[number] = done
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, number)
		c.mu.Unlock()
	}()
	// The kernel returns Fd and Pad, 64 bits of our own, with the event.
	event := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLONESHOT, Fd: int32(number), Pad: int32(number >> 32)}
	if err := unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin makes the epoll instance. Its goroutine runs as long as the process: checks go on once they have begun.
func (c *connector) begin() {
	var err error
	if c.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		c.epoll = -1
		return
	}
	go c.listen()
}

func (c *connector) listen() {
	events := make([]unix.EpollEvent, 128)
	for {
		n, err := unix.EpollWait(c.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return // the instance is never closed
		}
		c.mu.Lock()
		for _, e := range events[:max(n, 0)] {
			number := uint64(uint32(e.Pad))<<32 | uint64(uint32(e.Fd))
			if done := c.waiting[number]; done != nil {
				close(done)
				delete(c.waiting, number)
			}
		}
		c.mu.Unlock()
	}
}

func familyOf(at netip.AddrPort) int {
	if at.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddrOf(at netip.AddrPort) unix.Sockaddr {
	if at.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
}
