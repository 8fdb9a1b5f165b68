// Package endpoints keeps the Endpoints and EndpointSlices of every Service equal to its membership.
//
// It watches, asks package membership for the desired objects, and writes the difference. It decides nothing itself. It
// changes only objects with the label of this controller (or of upstream's controller, whose objects it takes over).
package endpoints

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"viaduct/internal/apiclient"
	"viaduct/internal/healthcheck"
	"viaduct/internal/membership"
	"viaduct/internal/resolver"
)

// The controllers, by their names in kube-controller-manager: each of them can be left to kube-controller-manager.
const (
	EndpointsController = "endpoints-controller"              // Endpoints, of Services with a selector
	SliceController     = "endpointslice-controller"          // EndpointSlices of Services with a selector
	MirrorController    = "endpointslicemirroring-controller" // EndpointSlices of Endpoints that were written by hand
)

// Controllers lists all of them.
func Controllers() []string { return []string{EndpointsController, SliceController, MirrorController} }

// Retries of a Service whose writes fail: the first comes nearly at once, because most failures are conflicts; later
// ones come more and more slowly.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Options configure a Controller.
type Options struct {
	Controllers []string         // which of Controllers() run; objects of the others are not touched. nil: all
	Workers     int              // Services synced at once; 0: 4
	Log         *slog.Logger     // nil: slog.Default()
	CheckRate   int              // health checks a second; 0: see healthcheck.Options
	Names       resolver.Options // how names of backends are resolved; Changed and Log are set by the Controller
	History     History          // receives every change of a slice; nil: no history
}

// A History receives every change of an EndpointSlice. Its methods are called by one goroutine at a time. Synced is
// called once, after Observe was called for the slices that existed at the start.
type History interface {
	Observe(before, after *discovery.EndpointSlice, why func(e *discovery.Endpoint, listed bool) string)
	Synced()
}

// Controller keeps Endpoints and EndpointSlices. Watch fills the caches that Work needs; Run calls both.
type Controller struct {
	client   kubernetes.Interface
	options  Options
	log      *slog.Logger
	runs     membership.Controllers
	watch    *watch
	expected *expectations
	batcher  *batcher
	failures *failures
	metrics  *metrics
	outages  *outages

	mu      sync.Mutex // protects current
	current *turn      // nil while Work does not run
}

// A turn holds the state of one call of Work. The next call starts again from the state stored in the slices.
type turn struct {
	queue     workqueue.TypedRateLimitingInterface[types.NamespacedName]
	recorder  record.EventRecorder
	dedup     *eventDedup
	checks    *healthcheck.Checker
	names     *resolver.Resolver
	inherited *sync.Map // netip.Addr → membership.Health, as stored in the slices when Work began
	initial   *initialSync
}

// New makes a controller; Run starts it.
func New(client kubernetes.Interface, options Options) *Controller {
	c := &Controller{
		client: client, options: options, log: options.Log, runs: controllersOf(options.Controllers),
		expected: newExpectations(), batcher: newBatcher(), failures: newFailures(), metrics: newMetrics(),
		outages: newOutages(),
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	if c.options.Workers == 0 {
		c.options.Workers = 4
	}
	c.watch = newWatch(client, c, options.History)
	return c
}

// controllersOf reads Options.Controllers.
func controllersOf(names []string) membership.Controllers {
	if names == nil {
		return membership.AllControllers()
	}
	return membership.Controllers{
		Endpoints: slices.Contains(names, EndpointsController),
		Slices:    slices.Contains(names, SliceController),
		Mirror:    slices.Contains(names, MirrorController),
	}
}

// working returns the current turn; nil while Work does not run.
func (c *Controller) working() *turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// Run watches and works until ctx ends. It returns an error if it could not start.
func (c *Controller) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan error, 1)
	go func() {
		defer cancel()
		watched <- c.Watch(ctx)
	}()
	return errors.Join(c.Work(ctx), <-watched)
}

// Watch keeps the caches up to date until ctx ends. It writes nothing: a standby process has its caches ready when it
// becomes the leader.
func (c *Controller) Watch(ctx context.Context) error {
	if err := c.watch.start(ctx); err != nil {
		return fmt.Errorf("starting the endpoints controller: %w", err)
	}
	if cache.WaitForCacheSync(ctx.Done(), c.watch.synced...) && c.watch.history != nil {
		c.watch.history.Synced()
	}
	<-ctx.Done()
	c.watch.stop()
	return nil
}

// Synced says whether all caches are filled.
func (c *Controller) Synced() bool {
	for _, synced := range c.watch.synced {
		if !synced() {
			return false
		}
	}
	return true
}

// Work writes the desired objects until ctx ends, and returns when no write is in progress. It may be called again
// after that.
func (c *Controller) Work(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), c.watch.synced...) {
		return nil // ctx ended first
	}
	recorder, stopRecording := apiclient.NewRecorder(c.client, v1.EventSource{Component: "endpoint-controller"})
	defer stopRecording()
	t := c.begin(recorder)
	writing, stop := lingering(ctx)
	defer stop()
	var workers sync.WaitGroup
	workers.Go(func() { _ = t.checks.Run(ctx) }) // both end with ctx only
	workers.Go(func() { _ = t.names.Run(ctx) })
	for range c.options.Workers {
		workers.Go(func() { c.work(ctx, writing, t) })
	}
	<-ctx.Done()
	c.mu.Lock()
	c.current = nil
	c.mu.Unlock()
	t.queue.ShutDown()
	workers.Wait()
	return nil
}

// begin starts a turn and queues every Service, because changes before this moment were not queued.
func (c *Controller) begin(recorder record.EventRecorder) *turn {
	resolving := c.options.Names
	resolving.Changed, resolving.Log = c.resolved, c.log
	t := &turn{
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](firstRetry, lastRetry),
			workqueue.TypedRateLimitingQueueConfig[types.NamespacedName]{Name: queueName, MetricsProvider: c.metrics.queue}),
		recorder: recorder, dedup: newEventDedup(), inherited: c.watch.storedFindings(), initial: &initialSync{},
		checks: healthcheck.New(healthcheck.Options{Changed: c.checked, Rate: c.options.CheckRate, Log: c.log}),
		names:  resolver.New(resolving),
	}
	c.batcher.reset()
	c.outages.reset()
	c.mu.Lock()
	c.current = t
	c.mu.Unlock()
	all := c.watch.everything()
	t.initial.begin(time.Now(), all)
	for key := range all {
		c.batcher.look(key)
		t.queue.Add(key)
	}
	return t
}

// enqueue queues a Service because one of its objects has a new version. The sync is skipped if this controller wrote
// that version. version is "" if the object is gone.
func (c *Controller) enqueue(key types.NamespacedName, what object, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.expected.hear(key, what, version)
		c.current.queue.Add(key)
	}
}

// changed queues a Service because its endpoints may have changed, at trigger if that is known.
func (c *Controller) changed(key types.NamespacedName, trigger time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.batcher.change(key, time.Now(), trigger)
		c.current.queue.Add(key)
	}
}

// linger is how long a write in progress may take to end after the controller is stopped.
const linger = 2 * time.Second

// lingering returns a context that ends linger after ctx. A write that was already sent can then end, so that its
// result is known.
func lingering(ctx context.Context) (context.Context, func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		late := time.AfterFunc(linger, cancel)
		context.AfterFunc(longer, func() { late.Stop() })
	})
	return longer, cancel
}

// work handles queued Services until ctx ends. writing is the context of the writes.
func (c *Controller) work(ctx, writing context.Context, t *turn) {
	for {
		key, shutdown := t.queue.Get()
		if shutdown {
			return
		}
		if c.expected.foreign(key) {
			c.batcher.look(key)
		}
		switch wait, wanted := c.batcher.due(key, time.Now()); {
		case ctx.Err() != nil: // the next turn queues every Service again
		case wait > 0:
			t.queue.AddAfter(key, wait)
		case wanted:
			c.handle(writing, t, key)
		}
		t.queue.Done(key)
	}
}

func (c *Controller) handle(ctx context.Context, t *turn, key types.NamespacedName) {
	began := time.Now()
	err := c.sync(ctx, key, t)
	c.metrics.duration.Observe(time.Since(began).Seconds())
	switch {
	case err == nil:
		c.noteSync(key, resultSuccess, nil)
		t.queue.Forget(key)
		if took, done := t.initial.done(key, time.Now()); done {
			c.log.Info("synced every service", "services", took.services, "writes", took.writes, "took",
				took.time.Round(time.Millisecond))
		}
	case errors.Is(err, errStale):
		// The sync is still wanted. The event that brings the cache up to date queues the Service; this retry covers the case
		// that no such event comes.
		c.metrics.syncs.WithLabelValues(resultStale).Inc()
		t.queue.AddAfter(key, staleRetry)
	case ctx.Err() == nil:
		c.noteSync(key, resultError, err)
		c.log.Debug("syncing a service", "service", key, "err", err)
		t.queue.AddRateLimited(key)
	}
}

// Results of one sync of a Service.
const (
	resultSuccess = "success"
	resultStale   = "stale"
	resultError   = "error"
)

func (c *Controller) noteSync(key types.NamespacedName, result string, err error) {
	c.metrics.syncs.WithLabelValues(result).Inc()
	c.failures.note(key, err)
}
