package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	eventlog "k8s.io/client-go/tools/record"
)

// An Agent makes one host equal to the Pods bound to its Node.
type Agent struct {
	client    kubernetes.Interface
	opts      Options
	runAs     *credential // nil: as the agent
	me        uint32      // the agent's own user
	home      string
	capacity  v1.ResourceList
	addresses []*addresses // one for each range
	spawner   *spawner
	events    eventlog.EventBroadcaster // nil until Run
	recorder  eventlog.EventRecorder
	metrics   *metrics

	mu      sync.Mutex
	workers map[types.UID]*worker // guarded by mu
	closed  bool                  // guarded by mu: no more workers
}

// New makes an Agent. The error says which option makes no sense. Nothing is started or written before Run.
func New(client kubernetes.Interface, opts Options) (*Agent, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	runAs, err := parseRunAs(opts.RunAs)
	if err != nil {
		return nil, fmt.Errorf("run-as %q: %w", opts.RunAs, err)
	}
	me := uint32(os.Getuid())
	if runAs != nil && me != 0 && runAs.uid != me {
		return nil, fmt.Errorf("run-as %q: only root can run processes as another user", opts.RunAs)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/" // no HOME: as a process without a user entry has it
	}
	return &Agent{
		client: client, opts: opts, runAs: runAs, me: me, home: home, capacity: hostCapacity(),
		addresses: rangesOf(opts), spawner: newSpawner(nil), workers: map[types.UID]*worker{}, metrics: newMetrics(),
	}, nil
}

// Run registers the Node and runs its Pods until ctx ends. Then it stops them, at most for Options.ShutdownGrace,
// leaves them in the API as Pods that the next agent starts again, and says that the Node is not ready. The error is of
// what made it impossible to begin.
func (a *Agent) Run(ctx context.Context) error {
	// What has to be done while ctx is over, and no later than Run returns.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	if err := a.prepare(); err != nil {
		return err
	}
	go a.spawner.run(life, make(chan error, 1))
	defer a.record()()
	if err := a.registered(ctx); err != nil {
		return nil //nolint:nilerr // only the end of ctx ends the attempts
	}
	var beats errgroup.Group
	beats.Go(func() error { a.keepLease(ctx); return nil })
	beats.Go(func() error { a.keepNode(ctx); return nil })
	pods := a.podInformer(ctx)
	workers := a.follow(ctx, life, pods)
	<-ctx.Done()
	a.close()
	_ = workers.Wait() // workers return no errors
	_ = beats.Wait()   // nor do these
	a.sayGoodbye(life)
	end()
	<-a.spawner.gone
	return nil
}

// prepare makes the data directory and kills what an earlier agent left running.
func (a *Agent) prepare() error {
	if a.opts.Runtime != RuntimeProcess {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(a.opts.DataDir, "pods"), 0o700); err != nil {
		return fmt.Errorf("making the directory for pods: %w", err)
	}
	return killOrphans(a.opts.DataDir)
}

// podInformer makes the informer of the Pods bound to this Node.
func (a *Agent) podInformer(ctx context.Context) cache.SharedIndexInformer {
	mine := fields.OneTermEqualSelector("spec.nodeName", a.opts.NodeName)
	source := cache.ToListWatcherWithWatchListSemantics(podListWatch(a.client, mine.String()), a.client)
	informer := cache.NewSharedIndexInformer(source, &v1.Pod{}, 0, cache.Indexers{})
	_ = informer.SetTransform(withoutManagedFields) // it errs only once the informer runs
	go informer.RunWithContext(ctx)
	return informer
}

// follow gives every Pod of the informer a worker. The group it returns ends when all workers have.
func (a *Agent) follow(ctx, life context.Context, informer cache.SharedIndexInformer) *errgroup.Group {
	workers := &errgroup.Group{}
	select {
	case <-informer.HasSyncedChecker().Done():
	case <-ctx.Done():
		return workers
	}
	a.reclaim(informer.GetStore().List())
	see := func(object any, gone bool) {
		if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = tombstone.Obj
		}
		if pod, ok := object.(*v1.Pod); ok && pod.Spec.NodeName == a.opts.NodeName {
			a.see(ctx, life, workers, pod, gone)
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { see(object, false) },
		UpdateFunc: func(before, object any) {
			if replaced(before, object) {
				see(before, true)
			}
			see(object, false)
		},
		DeleteFunc: func(object any) { see(object, true) },
	})
	if err != nil {
		a.opts.Log.Error("following pods", "err", err) // only of an informer that has been stopped: ctx is over
	}
	return workers
}

// replaced tells whether after is another Pod than before, of the same name: a watch that was broken off shows a
// deletion and a creation as one update.
func replaced(before, after any) bool {
	a, ok := before.(*v1.Pod)
	b, both := after.(*v1.Pod)
	return ok && both && a.UID != b.UID
}

// reclaim reserves the addresses that Pods already have, before any Pod is given a new one, and removes what is left of
// Pods that are no more.
func (a *Agent) reclaim(objects []any) {
	if a.opts.Runtime != RuntimeProcess {
		return
	}
	known := map[string]bool{}
	for _, object := range objects {
		pod, ok := object.(*v1.Pod)
		if !ok || pod.Spec.NodeName != a.opts.NodeName {
			continue
		}
		known[string(pod.UID)] = true
		for i, had := range a.hadAddresses(pod) {
			if had.IsValid() {
				_, _ = a.addresses[i].claim(pod.UID, had) // the worker claims again, and tells if there is none
			}
		}
	}
	if err := removeStrays(a.opts.DataDir, func(uid string) bool { return known[uid] }); err != nil {
		a.opts.Log.Warn("cleaning up after old pods", "err", err)
	}
}

// see passes what a Pod is now to its worker, which it makes if there is none.
func (a *Agent) see(ctx, life context.Context, workers *errgroup.Group, pod *v1.Pod, gone bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.workers[pod.UID]
	switch {
	case w != nil:
		w.mail.put(pod, gone)
		return
	case gone || a.closed:
		return
	case a.opts.Runtime == RuntimeNone:
		if pod.DeletionTimestamp != nil {
			workers.Go(func() error { a.finishDeletion(life, pod); return nil })
		}
		return
	}
	w = newWorker(a, pod)
	a.workers[pod.UID] = w
	workers.Go(func() error {
		w.run(ctx, life)
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.workers, pod.UID)
		return nil
	})
}

// close lets no more workers begin.
func (a *Agent) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
}

// finishDeletion does the one thing an agent without a runtime does for Pods: nothing of them runs, so they can go.
func (a *Agent) finishDeletion(ctx context.Context, pod *v1.Pod) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := deletePod(ctx, a, pod); err != nil {
		a.opts.Log.Warn("finishing a deletion", "err", err)
	}
}
