package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"viaduct/internal/apiclient"

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
	client   kubernetes.Interface
	opts     Options
	capacity v1.ResourceList
	network  podNetwork
	recorder eventlog.EventRecorder // nil until Run
	metrics  *metrics

	mu      sync.Mutex
	workers map[types.UID]*worker // guarded by mu
	closed  bool                  // guarded by mu: no more workers
}

// New makes an Agent. The error says which option makes no sense. Nothing is started or written before Run.
func New(client kubernetes.Interface, opts Options) (*Agent, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	return &Agent{client: client, opts: opts, capacity: hostCapacity(), network: newPodNetwork(opts),
		workers: map[types.UID]*worker{}, metrics: newMetrics()}, nil
}

// Run registers the Node and runs its Pods until ctx ends. Then it stops them, at most for Options.ShutdownGrace,
// leaves them in the API as Pods that the next agent starts again, and writes that the Node is not ready. The error
// says why the runtime could not be opened.
func (a *Agent) Run(ctx context.Context) error {
	// life lasts until Run returns: for what has to be done after the end of ctx.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	if a.opts.Runtime != nil {
		if err := a.opts.Runtime.Open(ctx); err != nil {
			return fmt.Errorf("opening the container runtime: %w", err)
		}
		defer a.closeRuntime()
	}
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
	a.markNotReady(life)
	return nil
}

func (a *Agent) closeRuntime() {
	if err := a.opts.Runtime.Close(); err != nil {
		a.opts.Log.Warn("closing the container runtime", "err", err)
	}
}

// podInformer makes the informer of the Pods bound to this Node.
func (a *Agent) podInformer(ctx context.Context) cache.SharedIndexInformer {
	mine := fields.OneTermEqualSelector("spec.nodeName", a.opts.NodeName)
	source := cache.ToListWatcherWithWatchListSemantics(podListWatch(a.client, mine.String()), a.client)
	informer := cache.NewSharedIndexInformer(source, &v1.Pod{}, 0, cache.Indexers{})
	_ = informer.SetTransform(apiclient.WithoutManagedFields) // it errs only once the informer runs
	go informer.RunWithContext(ctx)
	return informer
}

// follow gives every Pod of the informer a worker. The group that is returned ends when all workers have.
func (a *Agent) follow(ctx, life context.Context, informer cache.SharedIndexInformer) *errgroup.Group {
	workers := &errgroup.Group{}
	select {
	case <-informer.HasSyncedChecker().Done():
	case <-ctx.Done():
		return workers
	}
	a.reclaim(informer.GetStore().List())
	see := func(object any, gone bool) {
		if pod, ok := apiclient.LastState(object).(*v1.Pod); ok && pod.Spec.NodeName == a.opts.NodeName {
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

// replaced reports whether after is another Pod than before, of the same name: a watch that was broken off shows a
// deletion and a creation as one update.
func replaced(before, after any) bool {
	a, ok := before.(*v1.Pod)
	b, both := after.(*v1.Pod)
	return ok && both && a.UID != b.UID
}

// reclaim reserves the addresses that Pods already have, before any Pod gets a new one, and removes what is left of
// Pods that no longer exist.
func (a *Agent) reclaim(objects []any) {
	if a.opts.Runtime == nil {
		return
	}
	known := map[string]bool{}
	for _, object := range objects {
		pod, ok := object.(*v1.Pod)
		if !ok || pod.Spec.NodeName != a.opts.NodeName {
			continue
		}
		known[string(pod.UID)] = true
		for i, had := range a.network.statusAddresses(pod) {
			if had.IsValid() {
				_, _ = a.network[i].claim(pod.UID, had) // the worker claims again, and reports if there is none
			}
		}
	}
	if err := a.removeLeftovers(known); err != nil {
		a.opts.Log.Warn("cleaning up after old pods", "err", err)
	}
}

// removeLeftovers removes what the runtime keeps of Pods whose UID is not known.
func (a *Agent) removeLeftovers(known map[string]bool) error {
	uids, err := a.opts.Runtime.Pods()
	for _, uid := range uids {
		if !known[uid] {
			err = errors.Join(err, a.opts.Runtime.RemovePod(uid))
		}
	}
	return err
}

// see passes the new version of a Pod to its worker. A Pod without a worker gets one.
func (a *Agent) see(ctx, life context.Context, workers *errgroup.Group, pod *v1.Pod, gone bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.workers[pod.UID]
	switch {
	case w != nil:
		w.inbox.mail.put(pod, gone)
		return
	case gone || a.closed:
		return
	case a.opts.Runtime == nil:
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

// finishDeletion is all that an agent without a runtime does for Pods: nothing of them runs here, so a Pod that is
// being deleted can go.
func (a *Agent) finishDeletion(ctx context.Context, pod *v1.Pod) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := deletePod(ctx, a, pod); err != nil {
		a.opts.Log.Warn("finishing a deletion", "err", err)
	}
}
