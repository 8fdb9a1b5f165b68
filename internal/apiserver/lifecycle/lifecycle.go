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

// Options are the storages that a Lifecycle works on.
type Options struct {
	Resources []Resource   // all served resources, with namespaces, configmaps, serviceaccounts and events
	Finalize  rest.Updater // namespaces/finalize
	Status    rest.Updater // namespaces/status
	RootCA    []byte       // the certificate authority of the server, PEM
	Log       *slog.Logger
}

// The pause before a failed step is retried, which doubles each time.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// workers is how many objects, and how many namespaces, are processed in parallel. Parallel writes share the syncs
// of the store.
const workers = 16

// Lifecycle does the work of this package in Run.
type Lifecycle struct {
	resources  []Resource
	namespaces *namespaces
	collector  *collector
	names      queue[string]
	uids       queue[types.UID]
	log        *slog.Logger
}

type queue[T comparable] = workqueue.TypedRateLimitingInterface[T]

// New returns a Lifecycle for the given storages. It starts nothing.
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
		rootCA: string(options.RootCA), enqueue: func(name string) { l.names.Add(name) }, ending: newNameSet(),
		living: newNameSet(),
	}
	l.collector = &collector{
		graph: newGraph(), resources: l.resources, enqueue: func(uid types.UID) { l.uids.Add(uid) },
		warn: eventRecorder{stored(corev1.Resource("events"))}.warn,
	}
	return l
}

// Run works until ctx ends. It deletes no object for a missing owner before every resource has been listed.
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

// work processes the queue until the queue is shut down.
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
			log.Debug("acting on a change; retried later", "object", item, "err", err)
			q.AddRateLimited(item)
		}
		q.Done(item)
	}
}

func (l *Lifecycle) onUpdate(r *Resource, obj metav1.Object) {
	l.collector.onUpdate(r, obj)
	l.namespaces.onUpdate(r, obj)
}

func (l *Lifecycle) onDelete(r *Resource, obj metav1.Object) {
	l.collector.onDelete(r, obj)
	l.namespaces.onDelete(r, obj)
}

func (l *Lifecycle) onRelist(r *Resource, exist map[types.UID]bool) {
	l.collector.onRelist(r, exist)
	l.namespaces.onRelist(r, exist)
}

// nameSet is a set of names for several goroutines.
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
