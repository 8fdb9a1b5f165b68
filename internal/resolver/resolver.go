// Package resolver keeps the addresses of names in DNS. It resolves a name again when its answer expires, and keeps the
// last answer while no name server replies. It does not know what a Service is, and does not decide which addresses
// connections may go to.
package resolver

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/poller"
)

// A Name is a name to resolve.
type Name struct {
	Host string // in lower case, without a final dot
	Port uint16 // of the addresses; 0 with SRV, whose records contain the port
	// SRV: Host is _service._protocol.name and resolves to the targets of its SRV records (RFC 2782). Their weights are
	// ignored.
	SRV bool
}

// An Answer is what a Name resolves to, as far as is known.
type Answer struct {
	Addrs   []netip.AddrPort // sorted, distinct; of the last good answer, however old
	Err     string           // why the last attempt failed, or failed in part; "": it did not
	Good    time.Time        // when Addrs were last confirmed; zero: never
	Dropped int              // the number of addresses over Options.Limit, which are not in Addrs
}

func (a Answer) equal(b Answer) bool {
	return a.Err == b.Err && a.Dropped == b.Dropped && slices.Equal(a.Addrs, b.Addrs)
}

// Options configure a Resolver.
type Options struct {
	// Servers are host:port of the name servers; nil: those of /etc/resolv.conf, with its search list.
	Servers     []string
	Hosts       string                           // a file like hosts(5), read before DNS is queried; "": /etc/hosts
	MinTTL      time.Duration                    // lower bound of the time that an answer is used; 0: 5 s
	MaxTTL      time.Duration                    // upper bound of that time; 0: 5 min
	Limit       int                              // addresses of one Name; 0: 1000
	Concurrency int                              // Names resolved at the same time; 0: 32
	Changed     func(owner types.NamespacedName) // reports that the Answer of a Name of owner has changed
	Log         *slog.Logger                     // nil: no logs
}

func (o Options) withDefaults() Options {
	if o.MinTTL <= 0 {
		o.MinTTL = 5 * time.Second
	}
	if o.MaxTTL <= 0 {
		o.MaxTTL = 5 * time.Minute
	}
	if o.Limit <= 0 {
		o.Limit = 1000
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 32
	}
	if o.Hosts == "" {
		o.Hosts = "/etc/hosts"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// firstRetry is the pause after the first failure. It doubles with each failure, up to half of MaxTTL.
const firstRetry = time.Second

// A Resolver resolves the names given to SetNames while Run runs.
type Resolver struct {
	opts    Options
	metrics *metrics
	poller  *poller.Poller[types.NamespacedName, Name, state]
}

// state is what a Resolver keeps of one Name.
type state struct {
	answer   Answer
	known    bool // an attempt has ended
	failures int  // in a row
}

// New makes a Resolver; Run starts it.
func New(opts Options) *Resolver {
	r := &Resolver{opts: opts.withDefaults()}
	r.poller = poller.New(poller.Options[types.NamespacedName, Name, state]{
		Concurrency: r.opts.Concurrency, Poll: r.poll, Changed: r.changed,
	})
	r.metrics = newMetrics(r)
	return r
}

// SetNames replaces the names of owner; nil removes them.
func (r *Resolver) SetNames(owner types.NamespacedName, names []Name) {
	r.poller.Set(owner, slices.Values(names), func(Name) (state, time.Time) { return state{}, time.Now() })
}

// Answer returns what n resolves to; false if no attempt has ended yet, or n has no owner.
func (r *Resolver) Answer(n Name) (Answer, bool) {
	s, _ := r.poller.State(n)
	return s.answer, s.known
}

// Run resolves until ctx ends, and returns nil once no query is in flight.
func (r *Resolver) Run(ctx context.Context) error { return r.poller.Run(ctx) }

func (r *Resolver) poll(_ context.Context, p poller.Poll[Name, state]) (poller.Update[state],
	func(context.Context) poller.Update[state]) {
	return nil, func(ctx context.Context) poller.Update[state] {
		found, err := r.newLookup().name(ctx, p.Target)
		r.metrics.took(time.Since(p.Began), err)
		return func(s *state) (due time.Time, changed bool) { return r.update(s, found, err, time.Now()) }
	}
}

// update takes the result of an attempt that ended at now.
func (r *Resolver) update(s *state, found found, err error, now time.Time) (due time.Time, changed bool) {
	before, known := s.answer, s.known
	s.known = true
	s.answer.Err = ""
	if err != nil {
		s.answer.Err = err.Error()
	}
	if len(found.addrs) > 0 {
		addrs := found.merged(before.Addrs)
		s.answer.Addrs, s.answer.Dropped = addrs[:min(len(addrs), r.opts.Limit)], max(0, len(addrs)-r.opts.Limit)
		s.answer.Good = now
	}
	return now.Add(r.pause(s, found, err)), !known || !s.answer.equal(before)
}

// pause is the time until the next attempt: at most the TTL of the answer, or the next pause after a failure.
func (r *Resolver) pause(s *state, found found, err error) time.Duration {
	if err != nil {
		s.failures++
		return min(firstRetry<<min(s.failures-1, 20), r.opts.MaxTTL/2)
	}
	s.failures = 0
	ttl := min(max(found.ttl, r.opts.MinTTL), r.opts.MaxTTL)
	return ttl - rand.N(ttl/10+1)
}

// changed passes a change on to the owners.
func (r *Resolver) changed(owners []types.NamespacedName, n Name, s state) {
	r.opts.Log.Info("a name was resolved", "name", n.Host, "addresses", len(s.answer.Addrs), "err", s.answer.Err)
	for _, owner := range owners {
		r.opts.Changed(owner)
	}
}
