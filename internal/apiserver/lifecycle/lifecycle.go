package lifecycle

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/util/workqueue"
)

// Options say what there is to work on.
type Options struct {
	Resources []Resource   // all that are served; namespaces, config maps, service accounts and events must be among them
	Finalize  rest.Updater // namespaces/finalize
	Status    rest.Updater // namespaces/status
	RootCA    []byte       // the certificate authority of the server, PEM
	Log       *slog.Logger
}

// The pace of retries of what failed.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// workers is how many objects, and how many namespaces, are worked on at a time: together their writes share the
// store's syncs.
const workers = 16

// Lifecycle is the package's work, done by Run.
type Lifecycle struct {
	resources  []Resource
	namespaces *namespaces
	collector  *collector
	names      queue[string]
	uids       queue[types.UID]
	log        *slog.Logger
}

type queue[T comparable] = workqueue.TypedRateLimitingInterface[T]

// New prepares the work on what options say; it starts nothing.
func New(options Options) *Lifecycle {
	l := &Lifecycle{resources: options.Resources, log: options.Log}
	stored := func(gr schema.GroupResource) Store {
		i := slices.IndexFunc(l.resources, func(r Resource) bool { return r.GroupResource == gr })
		return l.resources[i].Store
	}
	l.namespaces = &namespaces{
		resources: l.resources, store: stored(corev1.Resource("namespaces")), finalize: options.Finalize,
		status:   options.Status,
		accounts: stored(corev1.Resource("serviceaccounts")), configs: stored(corev1.Resource("configmaps")),
		rootCA: string(options.RootCA), look: func(name string) { l.names.Add(name) }, ending: newNameSet(),
		living: newNameSet(),
	}
	l.collector = &collector{
		graph: newGraph(), resources: l.resources, look: func(uid types.UID) { l.uids.Add(uid) },
		complain: complainer{stored(corev1.Resource("events"))}.complain,
	}
	return l
}

// Run works until ctx ends. Nothing is deleted for want of an owner before everything is known.
func (l *Lifecycle) Run(ctx context.Context) {
	l.names = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry,
		lastRetry))
	l.uids = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](firstRetry,
		lastRetry))
	var following, working sync.WaitGroup
	var known sync.WaitGroup
	known.Add(len(l.resources))
	for i := range l.resources {
		ready := sync.OnceFunc(known.Done)
		following.Go(func() {
			defer ready()
			follow(ctx, &l.resources[i], l, ready, l.log)
		})
	}
	for range workers {
		working.Go(func() { work(ctx, l.names, l.namespaces.sync, l.log) })
	}
	complete := make(chan struct{})
	go func() { known.Wait(); close(complete) }()
	select {
	case <-complete:
		for range workers {
			working.Go(func() { work(ctx, l.uids, l.collector.sync, l.log) })
		}
		<-ctx.Done()
	case <-ctx.Done():
	}
	l.names.ShutDown()
	l.uids.ShutDown()
	following.Wait()
	working.Wait()
}

// work syncs what is queued until the queue is shut down.
func work[T comparable](ctx context.Context, q queue[T], sync func(context.Context, T) error, log *slog.Logger) {
	for {
		item, shutDown := q.Get()
		if shutDown {
			return
		}
		err := sync(ctx, item)
		switch {
		case err == nil || ctx.Err() != nil:
			q.Forget(item)
		default:
			log.Debug("following the life of objects; tried again", "of", item, "err", err)
			q.AddRateLimited(item)
		}
		q.Done(item)
	}
}

func (l *Lifecycle) seen(r *Resource, obj metav1.Object) {
	l.collector.seen(r, obj)
	l.namespaces.seen(r, obj)
}

func (l *Lifecycle) gone(r *Resource, obj metav1.Object) {
	l.collector.gone(r, obj)
	l.namespaces.gone(r, obj)
}

func (l *Lifecycle) are(r *Resource, there map[types.UID]bool) {
	l.collector.are(r, there)
	l.namespaces.are(r, there)
}

// nameSet is a set of names that several goroutines use.
type nameSet struct {
	mu    sync.Mutex
	names map[string]bool // guarded by mu
}

func newNameSet() *nameSet { return &nameSet{names: map[string]bool{}} }

func (s *nameSet) set(name string, in bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in {
		s.names[name] = true
	} else {
		delete(s.names, name)
	}
}

func (s *nameSet) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[name]
}

func (s *nameSet) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.names {
		names = append(names, name)
	}
	return names
}
