// Package resolver keeps what names in DNS stand for: asked again when an answer expires, kept while nobody answers. It
// must not know what a Service is, nor decide which of the addresses connections may go to.
package resolver

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Name is what is resolved.
type Name struct {
	Host string // in lower case, without a final dot
	Port uint16 // that of the addresses; of SRV: 0, the records say it
	// Host is _service._protocol.name, and stands for the targets of its SRV records (RFC 2782); their weights are not
	// used
	SRV bool
}

// An Answer is what a Name stands for, as far as is known.
type Answer struct {
	Addrs   []netip.AddrPort // sorted, distinct; the last that were heard of, however long ago
	Err     string           // why the last attempt told nothing new, or not everything; "": it did
	Good    time.Time        // when Addrs were last confirmed; zero: never
	Dropped int              // addresses that are more than the limit
}

func (a Answer) equal(b Answer) bool {
	return a.Err == b.Err && a.Dropped == b.Dropped && slices.Equal(a.Addrs, b.Addrs)
}

// Options say how a Resolver works.
type Options struct {
	Servers     []string           // host:port of the name servers; nil: those of /etc/resolv.conf, with its search list
	Hosts       string             // the file that is asked first; "": /etc/hosts
	MinTTL      time.Duration      // how long an answer is used at least; 0: 5 s
	MaxTTL      time.Duration      // and at most; 0: 5 min
	Limit       int                // addresses of one Name; 0: 1000
	Concurrency int                // Names asked at once; 0: 32
	Changed     func(owner string) // told that an Answer of what owner wants has changed
	Log         *slog.Logger       // nil: no logs
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

// firstRetry is the pause after a first failure; it doubles up to half of MaxTTL.
const firstRetry = time.Second

// A Resolver resolves what it is told to Want, while it Runs.
type Resolver struct {
	opts    Options
	metrics *metrics
	wake    chan struct{}

	mu      sync.Mutex // protects the following
	entries map[Name]*entry
	wants   map[string]map[Name]bool
	asking  int
}

type entry struct {
	name   Name
	owners map[string]bool
	answer Answer
	known  bool // an attempt has ended
	busy   bool // it is being asked
	at     time.Time
	fails  int
}

// New makes a Resolver; Run starts it.
func New(opts Options) *Resolver {
	r := &Resolver{opts: opts.withDefaults(), wake: make(chan struct{}, 1), entries: map[Name]*entry{},
		wants: map[string]map[Name]bool{}}
	r.metrics = newMetrics(r)
	return r
}

// Want says all that owner wants to have resolved; nil is nothing.
func (r *Resolver) Want(owner string, names []Name) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := map[Name]bool{}
	for _, n := range names {
		held[n] = true
		if r.entries[n] == nil {
			r.entries[n] = &entry{name: n, owners: map[string]bool{}, at: time.Now()}
			r.rouse()
		}
		r.entries[n].owners[owner] = true
	}
	for n := range r.wants[owner] {
		if held[n] {
			continue
		}
		e := r.entries[n]
		if delete(e.owners, owner); len(e.owners) == 0 {
			delete(r.entries, n)
		}
	}
	if len(held) == 0 {
		delete(r.wants, owner)
		return
	}
	r.wants[owner] = held
}

// Answer is what n stands for; false if no attempt has ended yet.
func (r *Resolver) Answer(n Name) (Answer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[n]
	if e == nil || !e.known {
		return Answer{}, false
	}
	return e.answer, true
}

// Run resolves until ctx ends, and returns once no question is under way.
func (r *Resolver) Run(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(r.begin(ctx, &asking))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-r.wake:
		}
	}
	return nil
}

// begin asks for what is due, and returns how long nothing is.
func (r *Resolver) begin(ctx context.Context, asking *sync.WaitGroup) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := time.Hour
	for _, e := range r.entries {
		left := time.Until(e.at)
		switch {
		case e.busy || left <= 0 && r.asking >= r.opts.Concurrency: // whoever ends wakes
		case left > 0:
			wait = min(wait, left)
		default:
			e.busy = true
			r.asking++
			asking.Go(func() { r.ask(ctx, e) })
		}
	}
	return wait
}

func (r *Resolver) ask(ctx context.Context, e *entry) {
	l := r.newLookup()
	began := time.Now()
	found, err := l.name(ctx, e.name)
	r.metrics.took(time.Since(began), err)
	if ctx.Err() != nil {
		return
	}
	for _, owner := range r.note(e, found, err) {
		r.opts.Changed(owner)
	}
}

// note takes in what an attempt found, and returns who is to hear of it.
func (r *Resolver) note(e *entry, found found, err error) (owners []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.rouse()
	r.asking--
	e.busy = false
	was, known := e.answer, e.known
	e.known = true
	e.at = time.Now().Add(r.pause(e, found, err))
	e.answer.Err = ""
	if err != nil {
		e.answer.Err = err.Error()
	}
	if len(found.addrs) > 0 {
		addrs := found.merged(was.Addrs)
		e.answer.Addrs, e.answer.Dropped = addrs[:min(len(addrs), r.opts.Limit)], max(0, len(addrs)-r.opts.Limit)
		e.answer.Good = time.Now()
	}
	if known && e.answer.equal(was) {
		return nil
	}
	r.opts.Log.Info("a name was resolved", "name", e.name.Host, "addresses", len(e.answer.Addrs), "err", e.answer.Err)
	for o := range e.owners {
		owners = append(owners, o)
	}
	return owners
}

// pause is how long to wait before the next attempt: never longer than the answer holds.
func (r *Resolver) pause(e *entry, found found, err error) time.Duration {
	if err != nil {
		e.fails++
		return min(firstRetry<<min(e.fails-1, 20), r.opts.MaxTTL/2)
	}
	e.fails = 0
	ttl := min(max(found.ttl, r.opts.MinTTL), r.opts.MaxTTL)
	return ttl - rand.N(ttl/10+1)
}

func (r *Resolver) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
