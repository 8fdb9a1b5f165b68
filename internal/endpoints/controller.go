// Package endpoints keeps the Endpoints and EndpointSlices of every Service equal to its membership.
//
// It watches, asks package membership what there should be, and writes the difference. It decides nothing itself, and touches only
// what carries the label of this controller (or of upstream's, whose work it takes over).
package endpoints

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

// Retries of a Service whose writes fail: at once nearly, for most are conflicts, then ever more slowly.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Options say how a Controller works.
type Options struct {
	Workers int          // Services synced at once; 0: 4
	Log     *slog.Logger // nil: slog.Default()
}

// Controller keeps Endpoints and EndpointSlices.
type Controller struct {
	client   kubernetes.Interface
	log      *slog.Logger
	workers  int
	watch    *watch
	expected *expectations

	// Made by Run, for they start goroutines.
	queue    workqueue.TypedRateLimitingInterface[types.NamespacedName]
	recorder record.EventRecorder
}

// New makes a controller; Run starts it.
func New(client kubernetes.Interface, options Options) *Controller {
	c := &Controller{client: client, log: options.Log, workers: options.Workers, expected: newExpectations()}
	if c.log == nil {
		c.log = slog.Default()
	}
	if c.workers == 0 {
		c.workers = 4
	}
	c.watch = newWatch(client, func(key types.NamespacedName) { c.queue.Add(key) })
	return c
}

// Run works until ctx ends. An error says that it could not start.
func (c *Controller) Run(ctx context.Context) error {
	events := record.NewBroadcaster()
	defer events.Shutdown()
	events.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: c.client.CoreV1().Events("")})
	c.recorder = events.NewRecorder(scheme.Scheme, v1.EventSource{Component: "endpoint-controller"})
	c.queue = workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](firstRetry, lastRetry))
	defer c.queue.ShutDown()
	if err := c.watch.start(ctx); err != nil {
		return fmt.Errorf("starting the endpoints controller: %w", err)
	}
	// What the caches hold at first has been queued by then: a Service, and also whatever is left of one that is gone.
	if !cache.WaitForCacheSync(ctx.Done(), c.watch.synced...) {
		return nil // ctx ended first
	}
	var workers sync.WaitGroup
	for range c.workers {
		workers.Go(func() { c.work(ctx) })
	}
	<-ctx.Done()
	c.queue.ShutDown()
	workers.Wait()
	c.watch.stop()
	return nil
}

func (c *Controller) work(ctx context.Context) {
	for {
		key, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		c.handle(ctx, key)
		c.queue.Done(key)
	}
}

func (c *Controller) handle(ctx context.Context, key types.NamespacedName) {
	err := c.sync(ctx, key)
	switch {
	case err == nil:
		c.queue.Forget(key)
	case errors.Is(err, errStale):
		// The event that brings the cache up to date queues the key again; this is for the case that it never comes.
		c.queue.AddAfter(key, staleRetry)
	case ctx.Err() == nil:
		c.log.Debug("syncing a service", "service", key, "err", err)
		c.queue.AddRateLimited(key)
	}
}
