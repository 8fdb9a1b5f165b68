package userspace

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// port is a TCP port that stays bound, with or without listening. While the socket does not listen, the kernel answers
// a SYN with a reset, and no other process can bind the port.
type port struct {
	*net.TCPListener
	raw syscall.RawConn
}

// backlog is how many connections may wait for accept. The kernel uses the smaller of backlog and net.core.somaxconn.
const backlog = 1 << 14

// holdPort binds a socket to at without listening.
func holdPort(at netip.AddrPort) (*port, error) {
	fd, err := bound(at)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), at.String())
	defer f.Close() // FileListener has its own duplicate
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("adopting the socket of %s: %w", at, err)
	}
	p := &port{TCPListener: l.(*net.TCPListener)}
	if p.raw, err = p.SyscallConn(); err == nil {
		err = p.reuse(0)
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("holding %s: %w", at, err)
	}
	return p, nil
}

func bound(at netip.AddrPort) (fd int, err error) {
	family, sa := sockaddr(at)
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		_ = unix.Close(fd)
		return 0, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

func sockaddr(at netip.AddrPort) (int, unix.Sockaddr) {
	if at.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
}

// reuse sets SO_REUSEADDR on or off. bind and listen need the option while earlier connections still use the port.
// While the socket is bound and does not listen, the option must be off: two sockets with the option may be bound to
// one port as long as neither listens, and the first one that listens would block the other.
func (p *port) reuse(on int) error {
	return p.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, on) })
}

// listen makes the kernel accept connections. It may be called again after hush.
func (p *port) listen() error {
	if err := p.reuse(1); err != nil {
		return fmt.Errorf("preparing to listen: %w", err)
	}
	return p.control(func(fd int) error { return os.NewSyscallError("listen", unix.Listen(fd, backlog)) })
}

// hush makes the kernel refuse connections. A shutdown of a listening socket ends the listening and makes a waiting
// accept return an error. The socket stays bound.
func (p *port) hush() error {
	if err := p.reuse(0); err != nil {
		return fmt.Errorf("preparing to refuse: %w", err)
	}
	return p.control(func(fd int) error { return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_RDWR)) })
}

func (p *port) accept() (*net.TCPConn, error) { return p.AcceptTCP() }

// close closes the socket and frees the port.
func (p *port) close() { _ = p.Close() }

func (p *port) control(do func(fd int) error) error {
	var err error
	if controlErr := p.raw.Control(func(fd uintptr) { err = do(int(fd)) }); controlErr != nil {
		return controlErr
	}
	return err
}

// gone reports whether the connection is broken: reset by its peer, timed out, or closed by this process.
func gone(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	state := uint8(0)
	err = raw.Control(func(fd uintptr) {
		if info, infoErr := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); infoErr == nil {
			state = info.State
		}
	})
	return err != nil || state == unix.BPF_TCP_CLOSE
}
