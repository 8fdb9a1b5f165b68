package narrate

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"viaduct/internal/apiclient"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// A Narrator prints a line for each change that is worth one.
type Narrator struct {
	client kubernetes.Interface
	ready  chan struct{}

	mu  sync.Mutex
	out io.Writer // guarded by mu: each kind of object is watched by its own goroutine
}

// New makes a Narrator that prints to out. Nothing starts before Run.
func New(client kubernetes.Interface, out io.Writer) *Narrator {
	return &Narrator{client: client, out: out, ready: make(chan struct{})}
}

// Run prints until ctx ends. Of the objects that exist at the start, only Services get a line.
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

// Ready is closed once the objects that exist at the start are known. Objects created later are described as new.
func (n *Narrator) Ready() <-chan struct{} { return n.ready }

// eventOrNothing is Event, without a line for an event that expires.
func eventOrNothing(before, after *v1.Event) string {
	if after == nil {
		return ""
	}
	return Event(before, after)
}

// say prints one line, with the time of day before it.
func (n *Narrator) say(line string) {
	if line == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, "%s  %s\n", time.Now().Format("15:04:05.000"), line)
}

// handler describes changes by change, and objects of the first list by found; a nil found gives them no line.
func handler[T any](say func(string), change func(before, after *T) string,
	found func(*T) string) cache.ResourceEventHandler {
	return apiclient.Handler(func(before, after *T, listed bool) {
		switch {
		case !listed:
			say(change(before, after))
		case found != nil:
			say(found(after))
		}
	})
}

// trim drops fields that are never printed, to save memory.
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
