// Package leader lets one of several processes work at a time: whichever holds a Lease. It knows nothing of the work.
//
// It keeps two promises that the library underneath leaves to its user. A leader that is told to stop gives up the
// Lease only after its work has ended, so that the next one never works beside it; and the next one begins at once,
// because it watches the Lease instead of looking at it now and then. A leader that cannot renew its Lease stops
// working before the Lease can be another's. Should clocks run at different speeds for all that, two may work for a
// moment: what they write must carry the resourceVersion that it was decided on.
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

// Times say how fast a Lease changes hands when its holder dies. Each is shorter than the one before.
type Times struct {
	Lease time.Duration // how long a holder that has not renewed keeps the others away
	Renew time.Duration // how long a holder tries to renew before it stops working
	Retry time.Duration // how long between two attempts
}

// DefaultTimes are upstream's.
func DefaultTimes() Times {
	return Times{Lease: 15 * time.Second, Renew: 10 * time.Second, Retry: 2 * time.Second}
}

// Check says what is wrong with times, by the rules of the library.
func (t Times) Check() error {
	switch {
	case t.Retry <= 0:
		return fmt.Errorf("the retry period is %s: it must be more than 0", t.Retry)
	case t.Lease < time.Second:
		return fmt.Errorf("the lease duration is %s: it must be at least 1s, for a Lease counts in seconds", t.Lease)
	case t.Lease <= t.Renew:
		return fmt.Errorf("the lease duration is %s: it must be more than the renew deadline, %s", t.Lease, t.Renew)
	case float64(t.Renew) <= leaderelection.JitterFactor*float64(t.Retry):
		return fmt.Errorf("the renew deadline is %s: it must be more than %v times the retry period, %s", t.Renew,
			leaderelection.JitterFactor, t.Retry)
	}
	return nil
}

// Candidate wants to work.
type Candidate struct {
	client   kubernetes.Interface
	lease    types.NamespacedName
	identity string
	times    Times
	log      *slog.Logger

	mu     sync.Mutex // protects holder
	holder string     // whoever was last seen to hold the Lease
}

// New makes a candidate for a Lease. identity must be different from every other candidate's.
func New(client kubernetes.Interface, lease types.NamespacedName, identity string, times Times,
	log *slog.Logger) *Candidate {
	return &Candidate{client: client, lease: lease, identity: identity, times: times, log: log.With("lease",
		lease.String())}
}

// Identity is a name for a candidate of this process that no other has: the host's, and a random part.
func Identity() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("finding a name to be elected by: %w", err)
	}
	return host + "_" + rand.String(8), nil
}

// Holder is whoever was last seen to hold the Lease, and whether that is this candidate; "" if nobody was.
func (c *Candidate) Holder() (identity string, self bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holder, c.holder == c.identity
}

// Run calls work whenever this candidate holds the Lease, until ctx ends or work fails; then the Lease is given up. The
// context that work gets ends when ctx does and when the Lease is lost; it must return then. After a loss it is called
// again at the next election.
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

// term waits for the Lease, works while it is held, and gives it up. It also ends, having done nothing, when the Lease
// becomes free: a new term asks for it at once.
func (c *Candidate) term(ctx context.Context, freed <-chan struct{}, work func(context.Context) error) error {
	// The election outlives ctx until the work has ended, for so long the Lease is to be renewed.
	election, end := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), logr.Discard()))
	defer end()
	var t turn
	defer context.AfterFunc(ctx, func() { t.stop(end) })()
	lock := c.lock()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: c.times.Lease, RenewDeadline: c.times.Renew, RetryPeriod: c.times.Retry,
		Name: c.lease.Name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) { t.work(ctx, held, end, c.told(work)) },
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

// told wraps work with what an operator reads.
func (c *Candidate) told(work func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		c.log.Info("leading", "identity", c.identity)
		err := work(ctx)
		c.log.Info("no longer leading", "identity", c.identity)
		return err
	}
}

// watch follows the Lease until ctx ends, and says when nobody holds it any more.
func (c *Candidate) watch(ctx context.Context, freed chan<- struct{}) {
	seen := func(lease *coordination.Lease) {
		if !c.note(lease) {
			return
		}
		select {
		case freed <- struct{}{}:
		default: // it has been said
		}
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: c.source(), ObjectType: &coordination.Lease{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { seen(obj.(*coordination.Lease)) },
			UpdateFunc: func(_, obj any) { seen(obj.(*coordination.Lease)) },
			DeleteFunc: func(any) { seen(&coordination.Lease{}) },
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

// note remembers the holder, and says whether there has just ceased to be one.
func (c *Candidate) note(lease *coordination.Lease) (free bool) {
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
