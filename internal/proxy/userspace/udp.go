package userspace

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"viaduct/internal/routing"
)

// udpServer receives datagrams on one address and keeps a flow for each client address and port. While there are no
// endpoints the socket is closed, so the kernel answers with ICMP port unreachable. Unlike a TCP port, the UDP port
// cannot stay bound in this time.
type udpServer struct {
	host     *host
	at       netip.AddrPort
	frontend atomic.Pointer[compiledFrontend]
	turn     atomic.Uint64 // the number of round-robin picks so far
	meter    meter

	mu     sync.Mutex // protects the following
	socket *net.UDPConn
	flows  map[netip.AddrPort]*flow
}

func newUDPServer(h *host, at netip.AddrPort) *udpServer {
	return &udpServer{host: h, at: at, flows: map[netip.AddrPort]*flow{}}
}

func (s *udpServer) counts() Counts         { return s.meter.read() }
func (s *udpServer) now() *compiledFrontend { return s.frontend.Load() }

func (s *udpServer) update(f *compiledFrontend) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frontend.Store(f)
	if !f.hasBackends() {
		s.shut()
		return nil
	}
	for _, fl := range s.flows {
		if !f.keeps(fl.attempt.from, fl.to) {
			s.end(fl) // the next datagram of the client starts a flow to another endpoint
		}
	}
	if s.socket != nil {
		return nil
	}
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(s.at))
	if err != nil {
		return err
	}
	s.socket = socket
	s.host.own.Store(s.dest(), true)
	s.host.wg.Add(1)
	go s.receive(socket)
	return nil
}

func (s *udpServer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut()
}

// shut closes the socket and ends all flows. The caller holds mu.
func (s *udpServer) shut() {
	if s.socket == nil {
		return
	}
	_ = s.socket.Close()
	s.socket = nil
	s.host.own.Delete(s.dest())
	for _, fl := range s.flows {
		s.end(fl)
	}
}

// receive forwards datagrams until socket is closed.
func (s *udpServer) receive(socket *net.UDPConn) {
	defer s.host.wg.Done()
	buf := make([]byte, bufferSize)
	for {
		n, client, err := socket.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			s.forward(netip.AddrPortFrom(client.Addr().Unmap(), client.Port()), buf[:n])
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.host.opts.Log.Debug("receiving datagrams", "at", s.at, "err", err)
			time.Sleep(time.Millisecond) // a permanent error must not make the loop run without a pause
		}
	}
}

// forward sends one datagram to the client's endpoint, or to another one if this endpoint refuses. If all refuse, the
// datagram is lost, which UDP permits.
func (s *udpServer) forward(client netip.AddrPort, data []byte) {
	const most = 16 // the largest number of tries for one datagram
	fl := s.flowOf(client)
	for range most {
		if fl == nil {
			break
		}
		err := fl.send(data)
		if err == nil {
			s.meter.sent.Add(uint64(len(data)))
			fl.tally.sent.Add(uint64(len(data)))
			return
		}
		if errors.Is(err, net.ErrClosed) {
			fl = s.flowOf(client) // the flow ended between the lookup and the write
			continue
		}
		fl = s.replace(fl)
	}
	s.meter.failures.Add(1)
}

// flowOf is the client's flow. It makes a flow if the client has none, and returns nil if no endpoint may serve the
// client.
func (s *udpServer) flowOf(client netip.AddrPort) *flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fl, ok := s.flows[client]; ok {
		return fl
	}
	return s.begin(client, dialAttempt{host: s.host, turn: &s.turn, from: originOf(client.Addr(), s.at.Addr())})
}

// replace ends fl, whose endpoint refused, and makes a flow of the client to an endpoint that was not tried yet. It
// returns nil if there is no such endpoint. If fl has already ended, it returns the client's present flow, which may be
// nil.
func (s *udpServer) replace(fl *flow) *flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flows[fl.client] != fl {
		return s.flows[fl.client]
	}
	s.end(fl)
	s.host.ejected.failed(fl.to, "refused a datagram")
	fl.tally.failures.Add(1)
	attempt := fl.attempt
	attempt.tried = append(attempt.tried, fl.to)
	return s.begin(fl.client, attempt)
}

// begin finds an endpoint and makes a flow to it. It returns nil if there is no endpoint. The caller holds mu.
func (s *udpServer) begin(client netip.AddrPort, attempt dialAttempt) *flow {
	f := s.frontend.Load()
	for s.socket != nil {
		t, ok := attempt.next(f)
		if !ok {
			return nil
		}
		up, err := s.dial(t.addr)
		if err != nil {
			s.host.opts.Log.Debug("no route to an endpoint", "at", s.at, "endpoint", t.addr, "err", err)
			t.tally.open.Add(-1)
			attempt.tried = append(attempt.tried, t.addr)
			continue
		}
		attempt.found(f, t.addr)
		return s.run(&flow{server: s, client: client, attempt: attempt, to: t.addr, tally: t.tally, up: up, down: s.socket})
	}
	return nil
}

func (s *udpServer) dial(to netip.AddrPort) (*net.UDPConn, error) {
	if s.host.isOwn(routing.Dest{Addr: to, Proto: routing.UDP}) {
		return nil, errCircle
	}
	return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
}

func (s *udpServer) dest() routing.Dest { return routing.Dest{Addr: s.at, Proto: routing.UDP} }

// run registers fl and starts its back goroutine. At the limit UDPFlows it ends another flow first. The caller holds
// mu.
func (s *udpServer) run(fl *flow) *flow {
	if len(s.flows) >= s.host.opts.UDPFlows {
		s.endIdlest()
	}
	s.meter.connections.Add(1)
	fl.tally.connections.Add(1)
	s.flows[fl.client] = fl
	fl.touch()
	s.host.wg.Add(1)
	go fl.back()
	return fl
}

// end closes fl, which ends its back goroutine. The caller holds mu.
func (s *udpServer) end(fl *flow) {
	_ = fl.up.Close()
	if s.flows[fl.client] == fl {
		fl.tally.open.Add(-1)
		delete(s.flows, fl.client)
	}
}

// endIdlest ends, of eight flows, the one with the longest idle time. A range over a map starts at a random entry, so
// the eight flows are a random sample. The caller holds mu.
func (s *udpServer) endIdlest() {
	var idlest *flow
	seen := 0
	for _, fl := range s.flows {
		if idlest == nil || fl.last.Load() < idlest.last.Load() {
			idlest = fl
		}
		if seen++; seen == 8 {
			break
		}
	}
	if idlest != nil {
		s.end(idlest)
	}
}
