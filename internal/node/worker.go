package node

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A worker runs one Pod, from the moment it is bound here until it is gone. One goroutine owns all of its state; what
// happens elsewhere (a process ends, a probe is answered, the Pod object changes) is sent to it.
type worker struct {
	agent *Agent
	log   *slog.Logger
	uid   types.UID
	mail  mailbox
	post  chan func()   // things to be done in the worker's goroutine
	done  chan struct{} // closed when run has returned

	// Owned by run's goroutine.
	pod         *v1.Pod // as last seen, or as our last write left it
	containers  []*container
	initialized bool
	leaving     bool         // the agent is ending
	ips         []netip.Addr // the primary first; empty: none yet
	// starts the Pod's processes: the agent's own, or one in namespaces of the Pod; nil until there are ips
	spawner *spawner
	// leaveNetwork gives up the Pod's namespaces, if it has any; it may be called again.
	leaveNetwork func()
	begun        metav1.Time
	seen         time.Time // when the Pod was first seen; zero: its start has been timed, or it ran before
	running      int       // containers that run
	deadline     time.Time // when the Pod is stopped: when what still runs is killed
	retry        time.Time // when to write the status again, which the API refused; zero: it is written
	again        time.Time // when to try again what the last step could not do; zero: nothing
}

func newWorker(a *Agent, pod *v1.Pod) *worker {
	return &worker{
		agent: a, uid: pod.UID, pod: pod, leaveNetwork: func() {},
		log: a.opts.Log.With("pod", pod.Namespace+"/"+pod.Name), seen: time.Now(),
		mail: mailbox{kick: make(chan struct{}, 1), latest: pod}, post: make(chan func()), done: make(chan struct{}),
	}
}

// A mailbox holds what a Pod is now, for a worker that may be busy: only the newest counts.
type mailbox struct {
	kick chan struct{} // holds one if the worker has not looked since the last put

	mu     sync.Mutex
	latest *v1.Pod // guarded by mu
	gone   bool    // guarded by mu: the object does not exist any more
}

func (m *mailbox) put(pod *v1.Pod, gone bool) {
	m.mu.Lock()
	m.latest, m.gone = pod, m.gone || gone // a UID does not come back: an event that says so was on its way before
	m.mu.Unlock()
	select {
	case m.kick <- struct{}{}:
	default: // it has been told to look, and has not looked yet
	}
}

func (m *mailbox) get() (pod *v1.Pod, gone bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latest, m.gone
}

// send has f done in the worker's goroutine, unless that has ended.
func (w *worker) send(f func()) {
	select {
	case w.post <- f:
	case <-w.done:
	}
}

// run keeps the Pod's processes equal to what the Pod says, until the Pod is gone, or until ctx ends and its processes
// have been stopped. life outlives ctx: it is for what has to be done while ctx is over.
func (w *worker) run(ctx, life context.Context) {
	defer close(w.done)
	defer func() { w.leaveNetwork() }()
	defer func() { w.agent.metrics.forget(w.pod, w.uid) }()
	w.adopt()
	leave := ctx.Done()
	for {
		if w.step(life) {
			return
		}
		w.publish(life)
		timer := time.NewTimer(w.untilWake())
		select {
		case <-w.mail.kick:
			w.look()
		case f := <-w.post:
			f()
		case <-timer.C:
		case <-leave:
			w.leaving, leave = true, nil
		}
		timer.Stop()
	}
}

// look takes the Pod as the informer has it, unless our own last write is newer.
func (w *worker) look() {
	if latest, _ := w.mail.get(); !older(latest, w.pod) {
		w.pod = latest
	}
}

func (w *worker) isGone() bool {
	_, gone := w.mail.get()
	return gone
}

// adopt makes the worker's state from what an earlier agent may have left.
func (w *worker) adopt() {
	w.begun = now()
	for i := range w.pod.Spec.InitContainers {
		spec := &w.pod.Spec.InitContainers[i]
		part := initContainer
		if spec.RestartPolicy != nil && *spec.RestartPolicy == v1.ContainerRestartPolicyAlways {
			part = sidecar
		}
		w.containers = append(w.containers, newContainer(w, part, spec, w.pod.Status.InitContainerStatuses))
	}
	for i := range w.pod.Spec.Containers {
		w.containers = append(w.containers, newContainer(w, mainContainer, &w.pod.Spec.Containers[i],
			w.pod.Status.ContainerStatuses))
	}
	if slices.ContainsFunc(w.containers, func(c *container) bool { return c.attempt >= 0 }) {
		w.seen = time.Time{}
	}
}

// step does what is to be done now, and tells whether the worker is finished with the Pod.
func (w *worker) step(ctx context.Context) (over bool) {
	w.again = time.Time{}
	if w.leaving || w.isGone() || w.pod.DeletionTimestamp != nil {
		return w.stopAll(ctx)
	}
	if finished(w.pod.Status.Phase) || !w.hasNetwork(ctx) {
		return false
	}
	todo := w.plan(time.Now())
	for _, i := range todo.Start {
		w.containers[i].start(ctx)
	}
	for _, i := range todo.Stop {
		w.containers[i].stop(ctx, time.Now().Add(w.grace()), "the main containers have ended")
	}
	for _, i := range todo.Waiting {
		w.containers[i].backingOff()
	}
	w.initialized = todo.Initialized
	return false
}

func (w *worker) units() []*unit {
	units := make([]*unit, len(w.containers))
	for i, c := range w.containers {
		units[i] = &c.unit
	}
	return units
}

func (w *worker) plan(at time.Time) plan {
	return next(w.pod.Spec.RestartPolicy, w.units(), w.initialized, at)
}

// untilWake is how long nothing has to be done if nothing happens.
func (w *worker) untilWake() time.Duration {
	wake := sooner(w.retry, w.again)
	if w.pod.DeletionTimestamp == nil && !w.leaving && !finished(w.pod.Status.Phase) && len(w.ips) > 0 {
		todo := w.plan(time.Now())
		if len(todo.Start) > 0 {
			return 0
		}
		wake = sooner(wake, todo.Wake)
	}
	if wake.IsZero() {
		return time.Hour // any time will do: looking again costs nothing and finds nothing
	}
	return max(time.Until(wake), 0)
}

// sooner gives the earlier of two times, of which zero ones are none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// now is the time to the second, as the API keeps it.
func now() metav1.Time { return metav1.Now().Rfc3339Copy() }
