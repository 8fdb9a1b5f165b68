package userspace

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"viaduct/internal/routing"
)

// tcpServer accepts connections on one address and relays them to the endpoints of its Frontend. While there is no
// endpoint, the port is bound but does not listen, so the kernel refuses connections.
type tcpServer struct {
	host     *host
	at       netip.AddrPort
	frontend atomic.Pointer[compiledFrontend]
	turn     atomic.Uint64 // the number of round-robin picks so far
	meter    meter

	// Only update and close use the fields below.
	port      *port       // nil until bound
	listening *acceptance // nil while the port is bound but does not listen

}

func newTCPServer(h *host, at netip.AddrPort) *tcpServer { return &tcpServer{host: h, at: at} }

func (s *tcpServer) counts() Counts         { return s.meter.read() }
func (s *tcpServer) now() *compiledFrontend { return s.frontend.Load() }

func (s *tcpServer) update(f *compiledFrontend) error {
	s.frontend.Store(f) // first, so that connections that are accepted from now on use the new pool
	if s.port == nil {
		p, err := holdPort(s.at)
		if err != nil {
			return err
		}
		s.port = p
		s.host.own.Store(s.dest(), true)
	}
	if !f.hasBackends() {
		return s.hush()
	}
	return s.listen()
}

func (s *tcpServer) listen() error {
	if s.listening != nil {
		return nil
	}
	if err := s.port.listen(); err != nil {
		return err
	}
	s.listening = &acceptance{stop: make(chan struct{}), done: make(chan struct{})}
	s.host.wg.Add(1)
	go s.accept(s.port, s.listening)
	return nil
}

// hush makes the kernel refuse connections. It returns when the accept goroutine has ended, so each accepted connection
// has its own goroutine by then. If the port cannot stop listening, hush closes the port, and then the kernel refuses
// connections too.
func (s *tcpServer) hush() error {
	if s.listening == nil {
		return nil
	}
	close(s.listening.stop)
	err := s.port.hush()
	if err != nil {
		s.giveBack()
	}
	<-s.listening.done
	s.listening = nil
	return err
}

func (s *tcpServer) close() {
	if s.port == nil {
		return
	}
	if s.listening != nil {
		close(s.listening.stop)
	}
	s.giveBack()
	if s.listening != nil {
		<-s.listening.done
		s.listening = nil
	}
}

func (s *tcpServer) giveBack() {
	s.port.close()
	s.port = nil
	s.host.own.Delete(s.dest())
}

func (s *tcpServer) dest() routing.Dest { return routing.Dest{Addr: s.at, Proto: routing.TCP} }

// acceptance is one period of listening. It has one accept goroutine.
type acceptance struct {
	stop chan struct{} // closed to end the period
	done chan struct{} // closed when the accept goroutine has ended
}

// accept accepts connections until a.stop is closed. An error does not end it: a lack of file descriptors or memory is
// temporary. After each error it waits, so that it does not loop without a pause.
func (s *tcpServer) accept(p *port, a *acceptance) {
	defer s.host.wg.Done()
	defer close(a.done)
	const first, longest = 5 * time.Millisecond, time.Second
	for pause := first; ; {
		c, err := p.accept()
		if err == nil {
			pause = first
			s.host.wg.Add(1)
			go s.carry(c)
			continue
		}
		select {
		case <-a.stop:
			return
		case <-time.After(pause):
			s.host.opts.Log.Warn("accepting connections", "at", s.at, "again_in", pause, "err", err)
			pause = min(2*pause, longest)
		}
	}
}

// carry serves one client connection until its end.
func (s *tcpServer) carry(c *net.TCPConn) {
	defer s.host.wg.Done()
	if !s.host.add(c) {
		reset(c)
		return
	}
	defer s.host.remove(c)
	up, t, err := s.connect(c)
	if err != nil {
		s.meter.failures.Add(1)
		s.host.opts.Log.Debug("no endpoint for a client", "at", s.at, "client", c.RemoteAddr(), "err", err)
		reset(c)
		return
	}
	defer t.tally.open.Add(-1)
	s.meter.connections.Add(1)
	t.tally.connections.Add(1)
	relay(c, up, &s.meter, t.tally)
}

// errNoneLeft is the error when no endpoint is left to try. The client gets a reset.
var errNoneLeft = errors.New("no endpoint left to try")

// connect finds an endpoint that accepts the connection. It reads the present Frontend for every try.
func (s *tcpServer) connect(c *net.TCPConn) (*net.TCPConn, target, error) {
	from, _ := c.RemoteAddr().(*net.TCPAddr)
	attempt := dialAttempt{host: s.host, turn: &s.turn, from: originOf(from.AddrPort().Addr(), s.at.Addr())}
	deadline := time.Now().Add(s.host.opts.DialTimeout)
	err := errNoneLeft
	for time.Now().Before(deadline) {
		f := s.frontend.Load()
		t, ok := attempt.next(f)
		if !ok {
			return nil, t, err
		}
		up, dialErr := s.dial(t.addr, t.last, deadline)
		if dialErr == nil {
			attempt.found(f, t.addr)
			return up, t, nil
		}
		attempt.refused(t)
		err = dialErr
	}
	return nil, target{}, err
}

// dial connects to one endpoint. If the endpoint does not take the connection, it is ejected for some time.
func (s *tcpServer) dial(to netip.AddrPort, last bool, deadline time.Time) (*net.TCPConn, error) {
	if s.host.isOwn(routing.Dest{Addr: to, Proto: routing.TCP}) {
		return nil, errCircle
	}
	if !last {
		deadline = time.Now().Add(s.host.opts.DialTimeout / 10)
	}
	// Dialer.DialTCP is not used here: it binds a local port even for the zero address, and bind does not reuse ports in
	// TIME_WAIT. The limit would then be 28,000 connections in a minute.
	c, err := (&net.Dialer{Deadline: deadline, KeepAlive: keepAlive(to.Addr())}).DialContext(s.host.ctx, "tcp",
		to.String())
	if up, ok := c.(*net.TCPConn); ok && err == nil {
		s.host.ejected.took(to)
		return up, nil
	}
	if s.host.ctx.Err() == nil {
		s.host.ejected.failed(to, causeOf(err))
	}
	return nil, fmt.Errorf("connecting to an endpoint: %w", err)
}

// causeOf is a short text for the reason why an endpoint did not take a connection.
func causeOf(err error) string {
	var number syscall.Errno
	var slow net.Error
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &slow) && slow.Timeout():
		return "no answer in time"
	}
	return err.Error()
}

// keepAlive is the keep-alive period for net.Dialer: negative disables keep-alive, 0 is Go's default. A loopback
// connection cannot lose its peer silently, so it does not need keep-alive and saves four system calls.
func keepAlive(to netip.Addr) time.Duration {
	if to.IsLoopback() {
		return -1
	}
	return 0
}
