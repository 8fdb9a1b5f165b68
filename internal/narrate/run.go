package narrate

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Narrator prints a line for each change a person would want to read.
type Narrator struct {
	client kubernetes.Interface
	ready  chan struct{}

	mu  sync.Mutex // guards out: each kind is watched by a goroutine of its own
	out io.Writer
}

// New returns a Narrator that prints to out. It starts nothing.
func New(client kubernetes.Interface, out io.Writer) *Narrator {
	return &Narrator{client: client, out: out, ready: make(chan struct{})}
}

// Run prints until ctx ends. What is there already is told in one line for each Service, and not at all otherwise.
func (n *Narrator) Run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(n.client, 0, informers.WithTransform(trim))
	core := factory.Core().V1()
	watches := []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{core.Services().Informer(), handler(n.say, Service, ServiceFound)},
		{core.Endpoints().Informer(), handler(n.say, Endpoints, nil)},
		{core.Pods().Informer(), handler(n.say, Pod, nil)},
		{core.Nodes().Informer(), handler(n.say, Node, nil)},
		{core.Events().Informer(), handler(n.say, eventOrNothing, nil)},
	}
	for _, w := range watches {
		if _, err := w.informer.AddEventHandler(w.handler); err != nil {
			return fmt.Errorf("watching: %w", err)
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	close(n.ready)
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

// Ready is closed once all that was there at the start is known: what is made after that is told as new.
func (n *Narrator) Ready() <-chan struct{} { return n.ready }

// eventOrNothing keeps quiet about events that expire.
func eventOrNothing(before, after *v1.Event) string {
	if after == nil {
		return ""
	}
	return Event(before, after)
}

// say prints one line, after the time of day.
func (n *Narrator) say(line string) {
	if line == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, "%s  %s\n", time.Now().Format("15:04:05.000"), line)
}

// handler tells changes by change, and objects of the first list by found, if there is one.
func handler[T any](say func(string), change func(before, after *T) string,
	found func(*T) string) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, first bool) {
			switch now := obj.(*T); {
			case !first:
				say(change(nil, now))
			case found != nil:
				say(found(now))
			}
		},
		UpdateFunc: func(old, now any) { say(change(old.(*T), now.(*T))) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if last, ok := obj.(*T); ok {
				say(change(last, nil))
			}
		},
	}
}

// trim drops what is never printed, so that watching everything stays cheap.
func trim(obj any) (any, error) {
	if m, ok := obj.(metav1.Object); ok {
		m.SetManagedFields(nil)
		m.SetAnnotations(nil)
	}
	if pod, ok := obj.(*v1.Pod); ok {
		pod.Spec = v1.PodSpec{NodeName: pod.Spec.NodeName}
	}
	return obj, nil
}
