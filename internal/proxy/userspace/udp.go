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

// udpServer receives datagrams on one address and keeps a flow for each client's address. While there are no endpoints
// the socket is closed, so that the kernel answers with port unreachable; unlike a TCP port it cannot be held
// meanwhile.
type udpServer struct {
	host     *host
	at       netip.AddrPort
	frontend atomic.Pointer[compiledFrontend]
	turn     atomic.Uint64 // the picks under round-robin
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
			s.end(fl) // its client's next datagram goes to one that serves
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
			time.Sleep(time.Millisecond) // an error that stays must not become a spin
		}
	}
}

// forward sends one datagram to the client's endpoint, or to another one when that refuses. When all do it is lost, as
// datagrams may be.
func (s *udpServer) forward(client netip.AddrPort, data []byte) {
	const most = 16 // endpoints that may refuse one datagram
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
			fl = s.flowOf(client) // it ended between the look and the write
			continue
		}
		fl = s.replace(fl)
	}
	s.meter.failures.Add(1)
}

// flowOf is the client's flow, made if there is none; nil when nobody serves this client.
func (s *udpServer) flowOf(client netip.AddrPort) *flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fl, ok := s.flows[client]; ok {
		return fl
	}
	return s.begin(client, dialAttempt{host: s.host, turn: &s.turn, from: originOf(client.Addr(), s.at.Addr())})
}

// replace ends fl, whose endpoint refused, and makes another flow of its client to one that was not tried yet; nil when
// there is none. If fl has ended already it is whatever came after it.
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

// begin makes a flow. The caller holds mu.
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

// run registers fl, for which it makes room if there is none, and starts its way back. The caller holds mu.
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

// end closes fl, which ends its goroutine. The caller holds mu.
func (s *udpServer) end(fl *flow) {
	_ = fl.up.Close()
	if s.flows[fl.client] == fl {
		fl.tally.open.Add(-1)
		delete(s.flows, fl.client)
	}
}

// endIdlest makes room: it ends the idlest of eight flows, for a map's range starts anywhere. The caller holds mu.
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
