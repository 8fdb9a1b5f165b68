package proxytest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"viaduct/internal/routing"
)

// Serve answers every connection or datagram to at on h with "at from", until the test ends.
func (l *Lab) Serve(h Host, at netip.AddrPort, proto routing.Proto) {
	l.t.Helper()
	l.In(h, func() error {
		if proto == routing.UDP {
			return l.serveUDP(at)
		}
		fd, err := listenOn(at, proto)
		if err != nil {
			return err
		}
		var over sync.WaitGroup
		l.t.Cleanup(func() {
			_ = unix.Shutdown(fd, unix.SHUT_RD) // wakes accept
			over.Wait()
			_ = unix.Close(fd)
		})
		over.Go(func() { answerAll(fd, at) })
		return nil
	})
}

// protocolNumber returns the number of the protocol for socket(2).
func protocolNumber(p routing.Proto) int {
	if p == routing.SCTP {
		return unix.IPPROTO_SCTP
	}
	return unix.IPPROTO_TCP
}

func listenOn(at netip.AddrPort, proto routing.Proto) (int, error) {
	fd, err := streamSocket(at.Addr(), proto)
	if err != nil {
		return 0, err
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, sockaddr(at)))
	if err == nil {
		err = unix.Listen(fd, 256)
	}
	if err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func streamSocket(a netip.Addr, proto routing.Proto) (int, error) {
	domain := unix.AF_INET
	if a.Is6() {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protocolNumber(proto))
	if err != nil {
		return 0, fmt.Errorf("making a %s socket: %w", proto, err)
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func addrOf(sa unix.Sockaddr) netip.Addr {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr)
	}
	return netip.Addr{}
}

// answerAll sends each client the endpoint's address and the client's address as the endpoint sees it. It then echoes
// what it reads.
func answerAll(fd int, at netip.AddrPort) {
	for {
		c, from, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = unix.Close(c) }()
			_, err := unix.Write(c, fmt.Appendf(nil, "%s %s\n", at, addrOf(from)))
			buf := make([]byte, 4096)
			for n := 0; err == nil; {
				if n, err = unix.Read(c, buf); n <= 0 || err != nil {
					return
				}
				_, err = unix.Write(c, buf[:n])
			}
		}()
	}
}

func (l *Lab) serveUDP(at netip.AddrPort) error {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	l.t.Cleanup(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			_, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDPAddrPort(fmt.Appendf(nil, "%s %s\n", at, from.Addr().Unmap()), from)
		}
	}()
	return nil
}

// An Answer is what an endpoint sent: its own address, and the client's address as it saw it.
type Answer struct {
	By   netip.AddrPort
	Seen netip.Addr
}

// Ask connects from h to to, and returns who answered. It gives up after patience.
func (l *Lab) Ask(h Host, to netip.AddrPort, proto routing.Proto, patience time.Duration) (a Answer, err error) {
	err = l.Do(h, func() (err error) {
		a, err = ask1(to, proto, patience)
		return err
	})
	return a, err
}

func ask1(to netip.AddrPort, proto routing.Proto, patience time.Duration) (Answer, error) {
	if proto == routing.UDP {
		return askDatagram(to, patience)
	}
	fd, err := Connect(to, proto, patience)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = unix.Close(fd) }()
	buf := make([]byte, 200)
	n, err := Read(fd, buf)
	if err != nil {
		return Answer{}, err
	}
	return parseAnswer(string(buf[:n]))
}

// Connect connects from the network namespace of the calling thread. patience bounds each operation on the socket. An
// operation that takes longer ends with EAGAIN or EINPROGRESS.
func Connect(to netip.AddrPort, proto routing.Proto, patience time.Duration) (fd int, err error) {
	if fd, err = streamSocket(to.Addr(), proto); err != nil {
		return 0, err
	}
	limit := unix.NsecToTimeval(int64(patience))
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit))
	if err == nil {
		err = connect(fd, to, patience)
	}
	if err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// connect is connect(2). If a signal interrupts it, connect goes on to wait. The kernel does not restart a call with a
// time limit, and the Go runtime sends itself signals.
func connect(fd int, to netip.AddrPort, patience time.Duration) error {
	err := unix.Connect(fd, sockaddr(to))
	for errors.Is(err, unix.EINTR) {
		n, e := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(patience.Milliseconds()))
		switch {
		case errors.Is(e, unix.EINTR):
		case e != nil:
			return e
		case n == 0:
			return unix.EINPROGRESS
		default:
			code, e := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			if e == nil && code != 0 {
				e = unix.Errno(code)
			}
			return e
		}
	}
	return err
}

// Read reads from a socket that Connect made, and retries after signals.
func Read(fd int, buf []byte) (n int, err error) {
	for {
		if n, err = unix.Read(fd, buf); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func askDatagram(to netip.AddrPort, patience time.Duration) (Answer, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = c.Close() }()
	return exchangeOn(c, patience)
}

func exchangeOn(c *net.UDPConn, patience time.Duration) (Answer, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return Answer{}, err
	}
	if _, err := c.Write([]byte("who?")); err != nil {
		return Answer{}, err
	}
	buf := make([]byte, 200)
	n, err := c.Read(buf)
	if err != nil {
		return Answer{}, err
	}
	return parseAnswer(string(buf[:n]))
}

func parseAnswer(text string) (a Answer, err error) {
	by, seen, _ := strings.Cut(strings.TrimSpace(text), " ")
	if a.By, err = netip.ParseAddrPort(by); err != nil {
		return a, err
	}
	a.Seen, err = netip.ParseAddr(seen)
	return a, err
}
