package node

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A worker runs one Pod, from the moment it is bound here until it is gone. One goroutine owns all of its state. Other
// goroutines (a container has ended, a probe has an answer, the Pod object has changed) send to its inbox.
type worker struct {
	agent *Agent
	log   *slog.Logger
	uid   types.UID
	inbox inbox

	// Owned by run's goroutine.
	pod         *v1.Pod // as last seen, or as our last write left it
	containers  []*container
	initialized bool // all init containers have done their part
	leaving     bool // the agent is ending
	podSandbox
	due     schedule
	startup startup
}

// A schedule says when a worker has to act although nothing happens. Zero times are none.
type schedule struct {
	deadline time.Time // the Pod is being stopped: when what still runs is killed
	retry    time.Time // when to write the status again, after the API has refused it
	again    time.Time // when to try again what the last step could not do
}

// startup is what a worker counts and times of its containers.
type startup struct {
	begun   metav1.Time // the startTime of the Pod's status, if it has none
	seen    time.Time   // when the Pod was first seen; zero: its start has been timed, or it ran before
	running int         // containers that run
}

func newWorker(a *Agent, pod *v1.Pod) *worker {
	return &worker{
		agent: a, uid: pod.UID, pod: pod, log: a.opts.Log.With("pod", pod.Namespace+"/"+pod.Name),
		inbox: newInbox(pod), startup: startup{seen: time.Now()},
	}
}

// An inbox holds what other goroutines send to a worker.
type inbox struct {
	mail mailbox
	post chan func()   // things to be done in the worker's goroutine
	done chan struct{} // closed when the worker has ended
}

func newInbox(pod *v1.Pod) inbox {
	return inbox{mail: mailbox{kick: make(chan struct{}, 1), latest: pod}, post: make(chan func()),
		done: make(chan struct{})}
}

// send has f done in the worker's goroutine, unless the worker has ended.
func (b *inbox) send(f func()) {
	select {
	case b.post <- f:
	case <-b.done:
	}
}

// A mailbox holds the newest version of a Pod, for a worker that may be busy.
type mailbox struct {
	kick chan struct{} // holds one if the worker has not looked since the last put

	mu     sync.Mutex
	latest *v1.Pod // guarded by mu
	gone   bool    // guarded by mu: the object does not exist any more
}

// put stores a version of the Pod. A Pod that is gone stays gone, since a UID does not come back: an event that says
// otherwise was sent before.
func (m *mailbox) put(pod *v1.Pod, gone bool) {
	m.mu.Lock()
	m.latest, m.gone = pod, m.gone || gone
	m.mu.Unlock()
	select {
	case m.kick <- struct{}{}:
	default: // the worker has not looked since the last kick
	}
}

func (m *mailbox) get() (pod *v1.Pod, gone bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latest, m.gone
}

// run keeps the Pod's containers equal to what the Pod says, until the Pod is gone, or until ctx ends and its
// containers have been stopped. life outlives ctx: it is for what has to be done after the end of ctx.
func (w *worker) run(ctx, life context.Context) {
	defer close(w.inbox.done)
	defer w.closeSandbox()
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
		case <-w.inbox.mail.kick:
			w.look()
		case f := <-w.inbox.post:
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
	if latest, _ := w.inbox.mail.get(); !older(latest, w.pod) {
		w.pod = latest
	}
}

func (w *worker) isGone() bool {
	_, gone := w.inbox.mail.get()
	return gone
}

// adopt makes the worker's state from what an earlier agent may have left.
func (w *worker) adopt() {
	w.startup.begun = now()
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
		w.startup.seen = time.Time{}
	}
}

// step does what is due now, and reports whether the worker is finished with the Pod.
func (w *worker) step(ctx context.Context) (over bool) {
	w.due.again = time.Time{}
	if w.leaving || w.isGone() || w.pod.DeletionTimestamp != nil {
		return w.stopAll(ctx)
	}
	if finished(w.pod.Status.Phase) || !w.ensureSandbox(ctx) {
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

// untilWake is the time until the worker has to act although nothing happens.
func (w *worker) untilWake() time.Duration {
	wake := sooner(w.due.retry, w.due.again)
	if w.pod.DeletionTimestamp == nil && !w.leaving && !finished(w.pod.Status.Phase) && w.sandbox != nil {
		todo := w.plan(time.Now())
		if len(todo.Start) > 0 {
			return 0
		}
		wake = sooner(wake, todo.Wake)
	}
	if wake.IsZero() {
		return time.Hour // any time will do: to look again costs nothing and finds nothing
	}
	return max(time.Until(wake), 0)
}

// sooner gives the earlier of two times. A zero time is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// now is the time to the second, as the API keeps it.
func now() metav1.Time { return metav1.Now().Rfc3339Copy() }
