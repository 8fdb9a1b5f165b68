// Package endpoints keeps the Endpoints and EndpointSlices of every Service equal to its membership.
//
// It watches, asks package membership what there should be, and writes the difference. It decides nothing itself, and
// touches only what carries the label of this controller (or of upstream's, whose work it takes over).
package endpoints

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	"viaduct/internal/resolver"
)

// The controllers, by the names that kube-controller-manager gives them: each may be left to it.
const (
	EndpointsController = "endpoints-controller"              // Endpoints, of Services with a selector
	SliceController     = "endpointslice-controller"          // EndpointSlices of the same
	MirrorController    = "endpointslicemirroring-controller" // EndpointSlices of Endpoints that were written by hand
)

// Controllers lists them all.
func Controllers() []string { return []string{EndpointsController, SliceController, MirrorController} }

// Retries of a Service whose writes fail: at once nearly, for most are conflicts, then ever more slowly.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Options say how a Controller works.
type Options struct {
	Controllers []string         // which of Controllers() run; what the others keep is not touched. nil: all
	Workers     int              // Services synced at once; 0: 4
	Log         *slog.Logger     // nil: slog.Default()
	CheckRate   int              // questions a second to addresses that are checked; 0: see healthcheck.Options
	Names       resolver.Options // how names of backends are resolved; Changed and Log are the Controller's
	History     History          // told of every change of a slice; nil: nobody is
}

// A History is told of every change of an EndpointSlice, by one goroutine at a time, and once that those that there
// were at the start are told.
type History interface {
	Observe(before, after *discovery.EndpointSlice, why func(e *discovery.Endpoint, listed bool) string)
	Synced()
}

// Controller keeps Endpoints and EndpointSlices. Watch must run for Work to have anything to work on; Run does both.
type Controller struct {
	client   kubernetes.Interface
	log      *slog.Logger
	workers  int
	runs     map[string]bool // which of Controllers()
	watch    *watch
	expected *expectations
	paces    *paces
	looks    *survey
	failures *failures
	metrics  *metrics
	notices  *notices
	outages  *outages
	// of the addresses that people wrote; new each time that Work begins, for it begins with what the slices say
	checks *healthcheck.Checker
	names  *resolver.Resolver // likewise

	resolving resolver.Options
	checkRate int
	// inherited are the addresses that were found up or down when Work began, by the slices: what begins to be checked
	// begins with that.
	inherited *sync.Map // of netip.Addr, to whether it was up

	recorder record.EventRecorder // of the workers

	mu    sync.Mutex                                                 // protects queue
	queue workqueue.TypedRateLimitingInterface[types.NamespacedName] // nil while Work does not run
}

// New makes a controller; Run starts it.
func New(client kubernetes.Interface, options Options) *Controller {
	c := &Controller{
		client: client, log: options.Log, workers: options.Workers, resolving: options.Names, checkRate: options.CheckRate,
		runs:     map[string]bool{},
		expected: newExpectations(), paces: newPaces(), looks: &survey{}, failures: newFailures(), metrics: newMetrics(),
		notices: newNotices(), outages: newOutages(),
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	if c.workers == 0 {
		c.workers = 4
	}
	if options.Controllers == nil {
		options.Controllers = Controllers()
	}
	for _, name := range options.Controllers {
		c.runs[name] = true
	}
	c.watch = newWatch(client, c.changed, c.look, c.podLeft)
	c.watch.history, c.watch.noticed = options.History, c.noticed
	return c
}

// Run watches and works until ctx ends. An error says that it could not start.
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

// Watch keeps the caches until ctx ends. It writes nothing: a process that may come to work later has them ready by
// then.
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

// Synced says whether the caches are there.
func (c *Controller) Synced() bool {
	for _, synced := range c.watch.synced {
		if !synced() {
			return false
		}
	}
	return true
}

// Work writes what there should be until ctx ends, and returns once no write is under way. It may be called again after
// that.
func (c *Controller) Work(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), c.watch.synced...) {
		return nil // ctx ended first
	}
	recorder, stopRecording := apiclient.NewRecorder(c.client, v1.EventSource{Component: "endpoint-controller"})
	defer stopRecording()
	queue := c.begin(recorder)
	writing, stop := lingering(ctx)
	defer stop()
	var workers sync.WaitGroup
	workers.Go(func() { _ = c.checks.Run(ctx) }) // both end with ctx, and in no other way
	workers.Go(func() { _ = c.names.Run(ctx) })
	for range c.workers {
		workers.Go(func() { c.work(ctx, writing, queue) })
	}
	<-ctx.Done()
	c.mu.Lock()
	c.queue = nil
	c.mu.Unlock()
	queue.ShutDown()
	workers.Wait()
	return nil
}

// begin queues everything that there is: whatever happened before now was nobody's to queue.
func (c *Controller) begin(recorder record.EventRecorder) workqueue.TypedRateLimitingInterface[types.NamespacedName] {
	queue := workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](firstRetry, lastRetry),
		workqueue.TypedRateLimitingQueueConfig[types.NamespacedName]{Name: queueName, MetricsProvider: c.metrics.queue})
	c.recorder = recorder
	c.paces.reset()
	c.notices = newNotices()
	c.outages.reset()
	resolving := c.resolving
	resolving.Changed, resolving.Log = c.resolved, c.log
	c.inherited = c.watch.knownStates()
	c.mu.Lock()
	c.queue = queue
	c.checks, c.names = healthcheck.New(healthcheck.Options{Changed: c.checked, Rate: c.checkRate, Log: c.log}),
		resolver.New(resolving)
	c.mu.Unlock()
	all := c.watch.everything()
	c.looks.begin(time.Now(), all)
	for key := range all {
		c.paces.look(key)
		queue.Add(key)
	}
	return queue
}

// look has a Service looked at if it was not this controller that gave one of its objects the version that it has; "":
// it is gone.
func (c *Controller) look(key types.NamespacedName, what object, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue != nil {
		c.expected.hear(key, what, version)
		c.queue.Add(key)
	}
}

// changed has a Service looked at, because what is behind it may have changed, at trigger if that is known.
func (c *Controller) changed(key types.NamespacedName, trigger time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue != nil {
		c.paces.change(key, time.Now(), trigger)
		c.queue.Add(key)
	}
}

// linger is how long a write that is under way may take to end once the controller is told to stop.
const linger = 2 * time.Second

// lingering is a context that outlives ctx by linger: a write that has been sent is better waited for than left in
// doubt.
func lingering(ctx context.Context) (context.Context, func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		late := time.AfterFunc(linger, cancel)
		context.AfterFunc(longer, func() { late.Stop() })
	})
	return longer, cancel
}

// work takes what is queued until ctx ends; writing is the context of the writes.
func (c *Controller) work(ctx, writing context.Context,
	queue workqueue.TypedRateLimitingInterface[types.NamespacedName]) {
	for {
		key, shutdown := queue.Get()
		if shutdown {
			return
		}
		if c.expected.foreign(key) {
			c.paces.look(key)
		}
		switch wait, wanted := c.paces.due(key, time.Now()); {
		case ctx.Err() != nil: // what is queued is the next one's
		case wait > 0:
			queue.AddAfter(key, wait)
		case wanted:
			c.handle(writing, queue, key)
		}
		queue.Done(key)
	}
}

func (c *Controller) handle(ctx context.Context, queue workqueue.TypedRateLimitingInterface[types.NamespacedName],
	key types.NamespacedName) {
	began := time.Now()
	err := c.sync(ctx, key)
	c.metrics.duration.Observe(time.Since(began).Seconds())
	switch {
	case err == nil:
		c.noteSync(key, resultSuccess, nil)
		queue.Forget(key)
		if took, done := c.looks.done(key, time.Now()); done {
			c.log.Info("looked at every service", "services", took.services, "writes", took.writes, "took",
				took.time.Round(time.Millisecond))
		}
	case errors.Is(err, errStale):
		// It is still wanted, and the event that brings the cache up to date queues it; this is for the case that none ever
		// does.
		c.metrics.syncs.WithLabelValues(resultStale).Inc()
		queue.AddAfter(key, staleRetry)
	case ctx.Err() == nil:
		c.noteSync(key, resultError, err)
		c.log.Debug("syncing a service", "service", key, "err", err)
		queue.AddRateLimited(key)
	}
}

// Results of a look at a Service.
const (
	resultSuccess = "success"
	resultStale   = "stale"
	resultError   = "error"
)

func (c *Controller) noteSync(key types.NamespacedName, result string, err error) {
	c.metrics.syncs.WithLabelValues(result).Inc()
	c.failures.note(key, err)
}
