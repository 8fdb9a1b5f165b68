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
	// how long a client may wait for an endpoint; a try takes a tenth of it while others are left; default 10 s
	DialTimeout time.Duration
	UDPIdle     time.Duration // how long a UDP flow lives after its last datagram; default 60 s
	// flows a UDP Frontend may have at once, each a socket; then the idlest of a few ends; default 1024
	UDPFlows int
	Affinity int // client addresses remembered, of all Services together; default 65536
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

// A server answers on one Dest. Its methods are called by one goroutine at a time.
type server interface {
	// update makes the server do what f says from now on. After an error it does as much of it as it can, and another
	// update tries again.
	update(f *compiledFrontend) error
	// close stops to answer; connections go on.
	close()
	counts() Counts
	now() *compiledFrontend // the latest; nil before the first
}

// A Backend serves Frontends with sockets of this process. Make it with New.
type Backend struct {
	host *host

	mu      sync.Mutex // protects the following
	closed  bool
	servers map[routing.Dest]server
	served  map[routing.Name][]routing.Dest // by Service, without port: what its last Sync asked for
}

// New makes a Backend that serves nothing yet.
func New(opts Options) *Backend {
	return &Backend{host: newHost(opts.withDefaults()), servers: map[routing.Dest]server{},
		served: map[routing.Name][]routing.Dest{}}
}

// errClosed is what Sync says after Close.
var errClosed = errors.New("the userspace proxy is closed")

// Sync serves the Frontends of the Services in changed, or of all when changed is nil, as t has them. Its error is of
// routing.FrontendErrors, unless the Backend is closed or ctx ends on the way.
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

// Close stops to answer anywhere, ends all connections with a reset, and returns when nothing is left of them.
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

// Counts is what one Frontend has seen since it is served.
type Counts struct {
	Connections uint64 // TCP connections and UDP flows that reached an endpoint
	Failures    uint64 // those that reached none
	Sent        uint64 // bytes from clients to endpoints; of TCP, counted when a direction ends
	Received    uint64 // bytes from endpoints to clients, in the same way
}

// Counts reports what has been served on d; zero when d is not served.
func (b *Backend) Counts(d routing.Dest) Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.servers[d]; ok {
		return s.counts()
	}
	return Counts{}
}
