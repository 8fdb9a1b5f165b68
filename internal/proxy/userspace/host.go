package userspace

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"viaduct/internal/routing"
)

// host is the state that the servers of one Backend share: limits, affinity entries, state of endpoints, and the
// connections. A connection can outlive the server that accepted it.
type host struct {
	opts     Options
	affinity *affinity
	ejected  *ejected
	tallies  tallies

	ctx    context.Context // ends at close: a dial in progress must not outlive the Backend
	cancel context.CancelFunc
	wg     sync.WaitGroup // counts every goroutine of the Backend

	own sync.Map // the keys are routing.Dest: the addresses and ports that this Backend serves

	mu     sync.Mutex // protects the following
	closed bool
	conns  map[*net.TCPConn]struct{} // the client side of every connection
}

func newHost(opts Options) *host {
	h := &host{opts: opts, affinity: newAffinity(opts.Affinity), ejected: newEjected(opts.Log),
		conns: map[*net.TCPConn]struct{}{}}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

func (h *host) newServer(d routing.Dest) server {
	if d.Proto == routing.UDP {
		return newUDPServer(h, d.Addr)
	}
	return newTCPServer(h, d.Addr)
}

// add registers a client's connection. It returns false when the Backend is closed.
func (h *host) add(c *net.TCPConn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.conns[c] = struct{}{}
	return true
}

func (h *host) remove(c *net.TCPConn) {
	h.mu.Lock()
	delete(h.conns, c)
	h.mu.Unlock()
}

// close resets every connection and waits for all goroutines. The servers are closed already.
func (h *host) close() {
	h.cancel()
	h.mu.Lock()
	h.closed = true
	for c := range h.conns {
		reset(c)
	}
	h.mu.Unlock()
	h.wg.Wait()
}

// errCircle is the error for an endpoint that is itself an address of this Backend. Such endpoints are not tried. If a
// Service had its own address as endpoint, or two Services had each other's, one client would cause connections until
// the process has no more file descriptors. The kernel's data paths do not follow such an endpoint either.
var errCircle = errors.New("the endpoint is itself an address of a Service")

func (h *host) isOwn(d routing.Dest) bool {
	_, own := h.own.Load(d)
	return own
}

// originOf is the Origin of a connection from the address from to the address at. A connection from this host to one of
// its own addresses has a loopback source or the destination itself as its source.
func originOf(from, at netip.Addr) routing.Origin {
	from = from.Unmap()
	return routing.Origin{Addr: from, Outside: !from.IsLoopback() && from != at}
}
