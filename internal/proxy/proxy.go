package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/loop"
	"viaduct/internal/routing"
)

// A Backend makes the host do what a Table says.
type Backend interface {
	// Sync applies t. changed names the Services (without ports) that may differ from the last Sync; nil means that all
	// may. An error of routing.FrontendErrors only means that everything else is applied; the Services they name will be
	// in changed next time. After any other error changed is nil next time. It is never called twice at once.
	Sync(ctx context.Context, t *routing.Table, changed []routing.Name) error
	// Close removes everything Sync made.
	Close() error
}

// A Watcher is a Backend that notices when somebody else changes what it made. Watch calls doubt then, until ctx ends,
// and the Proxy has the Backend look at everything.
type Watcher interface {
	Watch(ctx context.Context, doubt func()) error
}

// A PolicyLimited Backend serves some policies only, and the others as routing.Random. Unserved says why it does not
// serve p, as a clause that completes "because"; "" means that it does. It may be called after a Sync.
type PolicyLimited interface {
	Unserved(p routing.Policy) (why string)
}

// A PodAware Backend treats what Pods of this node send like what the node itself sends. SetPods says where they have
// their addresses; it is called before a Sync with nil for changed.
type PodAware interface {
	SetPods([]netip.Prefix)
}

// Options are what a Proxy needs to know. NodeName and Backend must be given.
type Options struct {
	NodeName  string       // the Node this host is, for local endpoints, its zone and addresses; it need not exist
	Backend   Backend      // not closed by the Proxy: whoever made it does that
	NodePorts NodePorts    // the addresses node ports are served on
	Log       *slog.Logger // nil: no logs

	// OnApplied, if set, is called after each application with the Services that changed since the last one; at the start
	// with all of them. It runs in the Proxy's own goroutine: it must not block.
	OnApplied func(changed []routing.Name)
	// Loop says how often to apply and how to retry. The zero value applies the first change after quiet at once, and
	// everything that arrives while one is being applied together; what could not be served is tried again after at most
	// longestRetry.
	Loop loop.Options
}

// longestRetry is short: a retry asks for no more than the few addresses that could not be had, nothing tells when
// another process frees one, and without privilege there is always one (port 443 of the Service kubernetes) that keeps
// the retries going.
const longestRetry = 2 * time.Second

// A Proxy keeps a Backend equal to the API. Make it with New.
type Proxy struct {
	opts    Options
	watch   *watch
	loop    *loop.Loop
	events  *complaints
	health  health
	metrics *metrics
	memory  *memory
	applied atomic.Pointer[routing.Table]
	// distrusted is set by whoever noticed that the Backend's work was undone.
	distrusted atomic.Bool

	// What follows belongs to the loop's goroutine.
	node    routing.Node
	pods    []netip.Prefix                 // where the Node's Pods have their addresses
	want    *routing.Table                 // what the Backend should serve
	pending map[routing.Name]pendingReason // what the Backend has to look at
	ramps   *slowStarts
	doubt   bool // it has to look at everything
	checks  *healthChecks
	unheard map[routing.Name]problem // the Services whose health check has no port, and why
	review  map[routing.Name]bool    // the Services whose problems, if any, are to be told anew
}

// pendingReason says why the Backend has to look at a Service.
type pendingReason uint8

const (
	changed pendingReason = iota + 1 // it changed since it was last applied
	retried                          // it has not changed, but the Backend could not serve all of it
	ramping                          // it has not changed, but its slow start gives other weights now
)

// New makes a Proxy of the Services client shows. It starts nothing.
func New(client kubernetes.Interface, opts Options) *Proxy {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Loop.Log == nil {
		opts.Loop.Log = opts.Log
	}
	p := &Proxy{opts: opts, want: &routing.Table{}, pending: map[routing.Name]pendingReason{},
		review:  map[routing.Name]bool{},
		doubt:   true,
		unheard: map[routing.Name]problem{}, metrics: newMetrics(), memory: newMemory()}
	p.node = routing.Node{Name: opts.NodeName}
	p.applied.Store(p.want)
	if opts.Loop.LastRetry <= 0 {
		opts.Loop.LastRetry = longestRetry
	}
	p.loop = loop.New(p.sync, opts.Loop)
	p.ramps = newSlowStarts(p.loop.Kick)
	p.watch = newWatch(client, opts.NodeName, &p.health, p.loop.Kick)
	p.checks = newHealthChecks(p.Healthy)
	p.events = newComplaints(client, opts.NodeName)
	return p
}

// Applied is the table the Backend last took, except for Frontends it complained about; empty before that. It never
// changes; call again for a later one.
func (p *Proxy) Applied() *routing.Table { return p.applied.Load() }

// Run keeps the Backend equal to the API until ctx ends. Nothing is applied before all Services and EndpointSlices are
// known: half a list would cut connections off. The data path stays as it is when Run returns.
func (p *Proxy) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer p.events.start()()
	defer p.watch.start(ctx)()
	if err := p.watch.wait(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	p.opts.Log.DebugContext(ctx, "services and endpoints are known")
	p.watch.markAll()
	defer p.checks.close()
	defer p.ramps.stop()
	return p.runLoop(ctx)
}

// runLoop runs the loop, and beside it whatever notices that the Backend's work was undone.
func (p *Proxy) runLoop(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.loop.Run(ctx) })
	if w, ok := p.opts.Backend.(Watcher); ok {
		group.Go(func() error { return w.Watch(ctx, p.distrust) })
	}
	return group.Wait()
}

// distrust has the Backend look at everything.
func (p *Proxy) distrust() {
	if !p.distrusted.Swap(true) { // a foreign hand works in many strokes
		p.opts.Log.Warn("somebody else changed what carries the connections, repairing it")
	}
	p.loop.Kick()
}

// sync is one round of the loop: build what changed, apply what differs, tell what could not be served.
func (p *Proxy) sync(ctx context.Context) error {
	p.health.begin()
	p.metrics.queued.SetToCurrentTime()
	p.rebuild()
	for _, name := range p.ramps.due(time.Now()) {
		if p.pending[name] == 0 {
			p.pending[name] = ramping
		}
	}
	p.doubt = p.distrusted.Swap(false) || p.doubt
	var failed []*routing.FrontendError
	if len(p.pending) > 0 || p.doubt {
		var err error
		if failed, err = p.apply(ctx); err != nil {
			return err
		}
	}
	p.applied.Store(p.want) // also when its only news is an address somebody does not get
	problems := p.problems(failed)
	p.events.report(p.watch.services, problems)
	p.memory.complain(problems)
	clear(p.review)
	p.health.done() // what alone is not served is told, and no reason to send the whole node's connections elsewhere
	if len(failed) > 0 {
		return fmt.Errorf("%d frontends are not served, the first: %w", len(failed), failed[0])
	}
	if len(p.unheard) > 0 {
		return fmt.Errorf("%d health checks are not answered", len(p.unheard))
	}
	return nil
}

// apply hands p.want to the Backend. It returns what alone is not served, or an error after which nothing is known.
func (p *Proxy) apply(ctx context.Context) ([]*routing.FrontendError, error) {
	names := sortedNames(p.pending)
	started := time.Now()
	for _, name := range names {
		p.ramps.update(p.want, name, started)
	}
	if p.doubt {
		names = nil
	}
	err := p.opts.Backend.Sync(ctx, p.ramps.resolve(p.want, started), names)
	p.ramps.arm(time.Now())
	p.metrics.synced(time.Since(started), names == nil, len(p.pending), err)
	failed, other := routing.Split(err)
	if p.doubt = other != nil; p.doubt {
		return nil, fmt.Errorf("applying the table: %w", errors.Join(other...))
	}
	p.applied.Store(p.want)
	p.settle(ctx, failed)
	return failed, nil
}

// settle notes that the Backend serves p.want except for what failed, and tells who asked to know.
func (p *Proxy) settle(ctx context.Context, failed []*routing.FrontendError) {
	again := map[routing.Name]bool{}
	for _, f := range failed {
		again[f.Service.Service()] = true
	}
	var news []routing.Name
	for _, name := range sortedNames(p.pending) {
		p.review[name] = true
		if p.pending[name] == ramping || p.pending[name] == retried && again[name] {
			continue // the Service is as it was, and what failed before fails now
		}
		news = append(news, name)
		p.opts.Log.DebugContext(ctx, "applied", "service", name.String(), "frontends", len(p.want.Of(name)))
	}
	p.tellApplied(sortedNames(p.pending), time.Now())
	clear(p.pending)
	for name := range again {
		p.pending[name] = retried
	}
	if p.opts.OnApplied != nil && len(news) > 0 {
		p.opts.OnApplied(news)
	}
}

// tellApplied notes that the Services in names were applied, for whoever asks.
func (p *Proxy) tellApplied(names []routing.Name, now time.Time) {
	p.memory.note(p.node, p.pods, p.want, names, now)
	p.metrics.served(p.want, names)
	for _, age := range p.watch.applied(names, now) {
		p.metrics.programming.Observe(age.Seconds())
	}
}

// problems lists, for every Service that was looked at, what of it is not served. A Service without problems has an
// empty list, which ends earlier complaints about it.
func (p *Proxy) problems(failed []*routing.FrontendError) map[routing.Name][]problem {
	out := make(map[routing.Name][]problem, len(p.review))
	for name := range p.review {
		out[name] = nil
		for _, l := range p.want.LostBy(name) {
			out[name] = append(out[name], lostProblem(l))
		}
		for _, r := range p.watch.refused(p.node, name) {
			out[name] = append(out[name], refusedProblem(r))
		}
		out[name] = append(out[name], p.balancingProblems(name)...)
	}
	for _, f := range failed {
		name := f.Service.Service()
		out[name] = append(out[name], bindProblem(f))
	}
	for name, what := range p.unheard {
		out[name] = append(out[name], what)
	}
	return out
}
