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

// A Backend makes the data path of the host equal to a Table.
type Backend interface {
	// Sync applies t. changed names the Services (without ports) that may differ from the last Sync; nil means all. An
	// error that consists of routing.FrontendErrors only means that everything else is applied. The Services in these
	// errors are in changed at the next Sync. After any other error, changed is nil at the next Sync. Calls of Sync do not
	// overlap.
	Sync(ctx context.Context, t *routing.Table, changed []routing.Name) error
	// Close removes everything that Sync made.
	Close() error
}

// A Watcher is a Backend that notices changes by other processes to what it made. Until ctx ends, Watch calls doubt for
// each such change. The Proxy then calls Sync with nil for changed.
type Watcher interface {
	Watch(ctx context.Context, doubt func()) error
}

// A PolicyLimited Backend serves only some policies. It serves the other ones as routing.Random. Unserved returns the
// reason why it does not serve p, as a clause that completes "because". It returns "" if the Backend serves p. The
// result is valid after the first Sync.
type PolicyLimited interface {
	Unserved(p routing.Policy) (why string)
}

// A PodAware Backend treats connections of this node's Pods like those of the node itself. SetPods sets the prefixes of
// the Pods' addresses. It is called before a Sync with nil for changed.
type PodAware interface {
	SetPods([]netip.Prefix)
}

// Options are the options of a Proxy. NodeName and Backend are required.
type Options struct {
	NodeName  string       // the Node of this host: local endpoints, zone and addresses; it need not exist
	Backend   Backend      // the caller closes it, not the Proxy
	NodePorts NodePorts    // the addresses on which node ports are served
	Log       *slog.Logger // nil: no logs

	// OnApplied, if set, is called after each sync with the Services that changed since the last one. The first call has
	// all Services. It runs in the Proxy's own goroutine, so it must not block.
	OnApplied func(changed []routing.Name)
	// Loop says how often to sync and how to retry. With the zero value, the first change after a quiet time is applied at
	// once. All changes that arrive during a sync are applied together by the next one. What could not be served is
	// retried after at most longestRetry.
	Loop loop.Options
}

// longestRetry is short, because a retry binds only the few addresses that failed, and because a process can free an
// address at any time, without a notification. Without privileges, one address always fails (port 443 of the Service
// kubernetes) and keeps the retries going.
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
	// distrusted is set when the Watcher has noticed a foreign change to what the Backend made.
	distrusted atomic.Bool

	// The fields below belong to the loop's goroutine.
	node    routing.Node
	pods    []netip.Prefix                 // the prefixes of the addresses of the Node's Pods
	want    *routing.Table                 // the table that the Backend should serve
	pending map[routing.Name]pendingReason // the Services that the next Sync has to look at
	ramps   *slowStarts
	doubt   bool // the next Sync has to look at everything
	checks  *healthChecks
	unheard map[routing.Name]problem // Services whose health check port could not be bound, and why
	review  map[routing.Name]bool    // Services whose problems are to be reported again
}

// pendingReason is the reason why the Backend has to look at a Service.
type pendingReason uint8

const (
	changed pendingReason = iota + 1 // the Service changed since it was last applied
	retried                          // the Service did not change, but the Backend could not serve all of it
	ramping                          // the Service did not change, but its slow start gives other weights now
)

// New returns a Proxy for the Services that client can list. It starts nothing.
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

// Applied returns the table of the Backend's last Sync, without the Frontends that failed. It is empty before the first
// Sync. The returned table never changes; a later call returns a later table.
func (p *Proxy) Applied() *routing.Table { return p.applied.Load() }

// Run keeps the Backend equal to the API until ctx ends. It applies nothing before all Services and EndpointSlices are
// known, because an incomplete list would break connections. The data path stays as it is when Run returns.
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

// runLoop runs the loop. If the Backend is a Watcher, its Watch runs beside the loop.
func (p *Proxy) runLoop(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.loop.Run(ctx) })
	if w, ok := p.opts.Backend.(Watcher); ok {
		group.Go(func() error { return w.Watch(ctx, p.distrust) })
	}
	return group.Wait()
}

// distrust makes the next Sync look at everything.
func (p *Proxy) distrust() {
	if !p.distrusted.Swap(true) { // one foreign change often arrives as many notifications
		p.opts.Log.Warn("somebody else changed what carries the connections, repairing it")
	}
	p.loop.Kick()
}

// sync is one round of the loop. It builds what changed, applies what differs, and reports what could not be served.
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
	p.applied.Store(p.want) // also when nothing differs except an address that a Service lost to another one
	problems := p.problems(failed)
	p.events.report(p.watch.services, problems)
	p.memory.complain(problems)
	clear(p.review)
	p.health.done() // a single failed Frontend is reported; it is no reason to move all connections away from the node
	if len(failed) > 0 {
		return fmt.Errorf("%d frontends are not served, the first: %w", len(failed), failed[0])
	}
	if len(p.unheard) > 0 {
		return fmt.Errorf("%d health checks are not answered", len(p.unheard))
	}
	return nil
}

// apply hands p.want to the Backend. It returns the Frontends that failed, or an error after which the state is
// unknown.
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

// settle records that the Backend serves p.want except for the failed Frontends, and calls OnApplied.
func (p *Proxy) settle(ctx context.Context, failed []*routing.FrontendError) {
	again := map[routing.Name]bool{}
	for _, f := range failed {
		again[f.Service.Service()] = true
	}
	var news []routing.Name
	for _, name := range sortedNames(p.pending) {
		p.review[name] = true
		if p.pending[name] == ramping || p.pending[name] == retried && again[name] {
			continue // the Service did not change, or the same Frontends failed again
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

// tellApplied records in the memory and in the metrics that the Services in names were applied.
func (p *Proxy) tellApplied(names []routing.Name, now time.Time) {
	p.memory.note(p.node, p.pods, p.want, names, now)
	p.metrics.served(p.want, names)
	for _, age := range p.watch.applied(names, now) {
		p.metrics.programming.Observe(age.Seconds())
	}
}

// problems returns the problems of every Service that was looked at. A Service without problems has an empty list,
// which ends its earlier complaints.
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
