// Package leader is leader election: of several processes, only the holder of a Lease works. It is built on client-go's
// leaderelection, and knows nothing about the work.
//
// It makes two promises that client-go leaves to its user. First, a leader that is stopped releases the Lease only
// after its work has ended, so that the next leader never works at the same time. Second, the next leader starts at
// once, because it watches the Lease instead of polling it. A leader that cannot renew its Lease stops working before
// another process can take the Lease. If clocks run at different speeds, two leaders can still work for a moment: each
// write must carry the resourceVersion that the decision was based on.
package leader

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	coordination "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/klog/v2"
)

// Times say how fast a Lease passes to another process when its holder dies. Each must be shorter than the one before.
type Times struct {
	Lease time.Duration // LeaseDuration: how long a Lease without renewal stays with its holder
	Renew time.Duration // RenewDeadline: how long a holder tries to renew before it stops working
	Retry time.Duration // RetryPeriod: pause between two attempts
}

// DefaultTimes are those of kube-controller-manager: 15 s, 10 s and 2 s.
func DefaultTimes() Times {
	return Times{Lease: 15 * time.Second, Renew: 10 * time.Second, Retry: 2 * time.Second}
}

// Check gives an error if the times break the rules of client-go's leaderelection.
func (t Times) Check() error {
	switch {
	case t.Retry <= 0:
		return fmt.Errorf("the retry period is %s: it must be more than 0", t.Retry)
	case t.Lease < time.Second:
		return fmt.Errorf("the lease duration is %s: it must be at least 1s, because a Lease counts in seconds", t.Lease)
	case t.Lease <= t.Renew:
		return fmt.Errorf("the lease duration is %s: it must be more than the renew deadline, %s", t.Lease, t.Renew)
	case float64(t.Renew) <= leaderelection.JitterFactor*float64(t.Retry):
		return fmt.Errorf("the renew deadline is %s: it must be more than %v times the retry period, %s", t.Renew,
			leaderelection.JitterFactor, t.Retry)
	}
	return nil
}

// A Candidate is one process of those that want to work.
type Candidate struct {
	client   kubernetes.Interface
	lease    types.NamespacedName
	identity string
	times    Times
	log      *slog.Logger

	mu     sync.Mutex
	holder string // guarded by mu: the identity last seen in the Lease; empty: none
}

// New makes a candidate for a Lease. No other candidate may have the same identity. Nothing is written before Run.
func New(client kubernetes.Interface, lease types.NamespacedName, identity string, times Times,
	log *slog.Logger) *Candidate {
	return &Candidate{client: client, lease: lease, identity: identity, times: times, log: log.With("lease",
		lease.String())}
}

// Identity makes a unique identity for a candidate of this process: the host's name and a random part. The error is
// that of reading the host's name.
func Identity() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("reading the host's name for the election: %w", err)
	}
	return host + "_" + rand.String(8), nil
}

// Holder gives the identity last seen in the Lease, and whether it is this candidate's. It is empty if the Lease has no
// holder or was not seen yet.
func (c *Candidate) Holder() (identity string, self bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holder, c.holder == c.identity
}

// Run calls work whenever this candidate holds the Lease, until ctx ends or work fails. Then it releases the Lease. The
// context of work ends when ctx ends and when the Lease is lost; work must return then. After a loss, work is called
// again at the next election. The error is that of work, or says which of the times is wrong.
func (c *Candidate) Run(ctx context.Context, work func(context.Context) error) error {
	if err := c.times.Check(); err != nil {
		return fmt.Errorf("electing a leader: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	freed := make(chan struct{}, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() { c.watch(ctx, freed) })
	for ctx.Err() == nil {
		if err := c.term(ctx, freed, work); err != nil {
			return err
		}
	}
	return nil
}

// term waits for the Lease, works while it is held, and releases it. When another holder releases the Lease, term ends
// without work: a new term asks for the Lease at once, where this one would wait for its next retry.
func (c *Candidate) term(ctx context.Context, freed <-chan struct{}, work func(context.Context) error) error {
	// The election outlives ctx until the work has ended: the Lease is renewed until then.
	election, end := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), logr.Discard()))
	defer end()
	var t turn
	defer context.AfterFunc(ctx, func() { t.stop(end) })()
	lock := c.lock()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: c.times.Lease, RenewDeadline: c.times.Renew, RetryPeriod: c.times.Retry,
		Name: c.lease.Name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) { t.work(ctx, held, end, c.logged(work)) },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("electing a leader: %w", err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		elector.Run(election)
	}()
	for {
		select {
		case <-freed:
			t.retire(end)
		case <-over:
			held, err := t.wait()
			if held {
				c.release(ctx, lock)
			}
			return err
		}
	}
}

// logged is work with a log line at its start and its end.
func (c *Candidate) logged(work func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		c.log.Info("leading", "identity", c.identity)
		err := work(ctx)
		c.log.Info("no longer leading", "identity", c.identity)
		return err
	}
}

// watch follows the Lease until ctx ends, and sends to freed when another holder has released it.
func (c *Candidate) watch(ctx context.Context, freed chan<- struct{}) {
	observe := func(lease *coordination.Lease) {
		if !c.setHolder(lease) {
			return
		}
		select {
		case freed <- struct{}{}:
		default: // it has been sent already
		}
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: c.source(), ObjectType: &coordination.Lease{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { observe(obj.(*coordination.Lease)) },
			UpdateFunc: func(_, obj any) { observe(obj.(*coordination.Lease)) },
			DeleteFunc: func(any) { observe(&coordination.Lease{}) },
		},
	})
	informer.RunWithContext(ctx)
}

// source lists and watches the one Lease.
func (c *Candidate) source() cache.ListerWatcher {
	api := c.client.CoordinationV1().Leases(c.lease.Namespace)
	one := fields.OneTermEqualSelector(metav1.ObjectNameField, c.lease.Name).String()
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = one
			return api.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = one
			return api.Watch(ctx, o)
		},
	}, c.client)
}

// setHolder notes the holder of the Lease, and reports whether another holder has just released it.
func (c *Candidate) setHolder(lease *coordination.Lease) (free bool) {
	holder := ""
	if lease.Spec.HolderIdentity != nil {
		holder = *lease.Spec.HolderIdentity
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.holder
	c.holder = holder
	return holder == "" && was != "" && was != c.identity
}
