package healthcheck

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// connector asks whether an address accepts a TCP connection, at a third of the cost of a net.Dialer: no file of the
// runtime's, no goroutine and no timer a question, and nothing more where the answer is there at once, as on this host.
// The connections that are under way share one epoll instance.
type connector struct {
	once sync.Once
	poll int // the epoll instance; -1: there is none

	mu sync.Mutex // protects the following
	// the number of the last connection: descriptors are used again, and an event may be of the one before
	last    uint64
	waiting map[uint64]chan struct{}
}

func newConnector() *connector { return &connector{waiting: map[uint64]chan struct{}{}} }

// ask begins a connection to at. If it is made or has failed at once, wait is nil; else wait returns when it is or has,
// or ctx ends. It is to be called, for it frees what the connection holds.
func (c *connector) ask(at netip.AddrPort) (wait func(ctx context.Context) error, err error) {
	fd, err := unix.Socket(familyOf(at), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, err
	}
	if over, err := connect(fd, at); over {
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

// connect begins the connection, and says whether that is over, as on this host it is at once.
func connect(fd int, at netip.AddrPort) (over bool, err error) {
	// A reset ends it: a question every second is not to fill the host with sockets in TIME_WAIT.
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

// wait returns when the connection of fd is made or has failed.
func (c *connector) wait(ctx context.Context, fd int) error {
	c.once.Do(c.begin)
	if c.poll < 0 {
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
	// Fd and Pad are 64 bits that the kernel hands back.
	event := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLONESHOT, Fd: int32(number), Pad: int32(number >> 32)}
	if err := unix.EpollCtl(c.poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin starts to wait for what is under way. It goes on for as long as the process: whoever asks once, asks again.
func (c *connector) begin() {
	var err error
	if c.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		c.poll = -1
		return
	}
	go c.listen()
}

func (c *connector) listen() {
	events := make([]unix.EpollEvent, 128)
	for {
		n, err := unix.EpollWait(c.poll, events, -1)
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
