package userspace

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"viaduct/internal/routing"
)

// Options are the limits of a Backend. The zero value of each means its default.
type Options struct {
	Log *slog.Logger // nil: no logs
	// DialTimeout is how long a client may wait for an endpoint. One try takes at most a tenth of it while untried
	// endpoints are left. The default is 10 s.
	DialTimeout time.Duration
	UDPIdle     time.Duration // how long a UDP flow lives after its last datagram; default 60 s
	// UDPFlows is the largest number of flows of a UDP Frontend; each flow has a socket. At the limit, the flow with the
	// longest idle time in a small sample ends. The default is 1024.
	UDPFlows int
	Affinity int // the largest number of affinity entries, for all Services together; default 65536
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.DialTimeout = orDefault(o.DialTimeout, 10*time.Second)
	o.UDPIdle = orDefault(o.UDPIdle, time.Minute)
	o.UDPFlows = orDefault(o.UDPFlows, 1024)
	o.Affinity = orDefault(o.Affinity, 1<<16)
	return o
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// A server serves one Dest. Its methods are called by one goroutine at a time.
type server interface {
	// update makes the server serve f. After an error, the server does as much of f as it can, and the next update tries
	// again.
	update(f *compiledFrontend) error
	// close stops accepting connections; present TCP connections continue.
	close()
	counts() Counts
	now() *compiledFrontend // the Frontend of the last update; nil before the first
}

// A Backend serves Frontends with sockets of this process. Make it with New.
type Backend struct {
	host *host

	mu      sync.Mutex // protects the following
	closed  bool
	servers map[routing.Dest]server
	served  map[routing.Name][]routing.Dest // by Service, without port: the Dests of its last Sync
}

// New makes a Backend that serves nothing yet.
func New(opts Options) *Backend {
	return &Backend{host: newHost(opts.withDefaults()), servers: map[routing.Dest]server{},
		served: map[routing.Name][]routing.Dest{}}
}

// errClosed is the error of Sync after Close.
var errClosed = errors.New("the userspace proxy is closed")

// Sync serves the Frontends of t for the Services in changed, or for all Services if changed is nil. The error consists
// of routing.FrontendErrors, unless the Backend is closed or ctx ends before Sync does.
func (b *Backend) Sync(ctx context.Context, t *routing.Table, changed []routing.Name) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	if changed == nil {
		changed = b.everyService(t)
	}
	var list []routing.Frontend
	for _, name := range changed {
		list = append(list, t.Of(name)...)
	}
	return b.apply(ctx, changed, list)
}

// Close closes all servers and resets all connections. It returns when all goroutines have ended.
func (b *Backend) Close() error {
	b.mu.Lock()
	b.closed = true
	for _, s := range b.servers {
		s.close()
	}
	clear(b.servers)
	clear(b.served)
	b.mu.Unlock()
	b.host.close()
	return nil
}

// Counts are the counters of one Frontend, from the time when the Backend began to serve it.
type Counts struct {
	Connections uint64 // TCP connections and UDP flows that reached an endpoint
	Failures    uint64 // TCP connections and UDP datagrams that reached no endpoint
	Sent        uint64 // bytes from clients to endpoints; TCP bytes are counted when a direction ends
	Received    uint64 // bytes from endpoints to clients, counted in the same way
}

// Counts returns the counters of d; they are zero when d is not served.
func (b *Backend) Counts(d routing.Dest) Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.servers[d]; ok {
		return s.counts()
	}
	return Counts{}
}
