package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"viaduct/internal/echo"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// stepTimeout bounds one step of the tour; each takes a second or two on an idle machine.
const stepTimeout = 20 * time.Second

// tour walks through what a Service is, step by step, and checks all that it says.
type tour struct {
	out     io.Writer
	dataDir string
	began   time.Time
	steps   int

	client    kubernetes.Interface
	apply     *applier
	visitor   *visitor
	outsiders []*echo.Server // servers that are no Pods
	stop      func()         // ends them
	left      []string       // addresses that must not answer once all is cleaned up
}

func newTour(out io.Writer, dataDir string) *tour {
	return &tour{out: out, dataDir: dataDir, began: time.Now(), visitor: newVisitor(), stop: func() {}}
}

// walk takes every step; the first claim that is not so ends it.
func (t *tour) walk(ctx context.Context, client kubernetes.Interface, url string) error {
	t.client = client
	t.apply = newApplier(t.dataDir, lines{t})
	t.say("The API answers at %s after %d ms.", url, time.Since(t.began).Milliseconds())
	for _, step := range []func(context.Context) error{t.quickstart, t.traffic, t.handWritten, t.unready, t.environment} {
		bounded, cancel := context.WithTimeout(ctx, stepTimeout)
		err := step(bounded)
		cancel()
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted in step %d", t.steps)
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", t.steps, err)
		}
	}
	return nil
}

func (t *tour) begin() {
	fmt.Fprintf(t.out, "Viaduct: Kubernetes Services on this machine, run by user %d, in %s.\n", os.Geteuid(), t.dataDir)
	fmt.Fprintf(t.out, "To look for yourself meanwhile, in another terminal: export KUBECONFIG=%s\n",
		kubeconfigIn(t.dataDir))
	t.title("Start the API server, the controllers, the proxy and the node agent", "kubectl get nodes,services")
}

// title begins a step; look is the command that would show it.
func (t *tour) title(what, look string) {
	t.steps++
	fmt.Fprintf(t.out, "\n%d. %s   [at %d ms]\n", t.steps, what, time.Since(t.began).Milliseconds())
	if look != "" {
		fmt.Fprintf(t.out, "   $ %s\n", look)
	}
}

func (t *tour) say(format string, args ...any) {
	fmt.Fprintf(t.out, "   "+format+"\n", args...)
}

// lines indents what others print to the tour.
type lines struct{ *tour }

func (l lines) Write(p []byte) (int, error) {
	_, err := fmt.Fprintf(l.out, "   %s", p)
	return len(p), err
}

func (t *tour) stay() {
	t.title("Everything stays up, as --keep asks; Ctrl-C ends it and removes it", "")
	t.say("export KUBECONFIG=%s", kubeconfigIn(t.dataDir))
	t.say("kubectl get pods,services,endpoints -o wide")
	t.say("What changes is told here:")
}

// end is the last step: it calls stop, which takes everything down, and checks that nothing is left.
func (t *tour) end(stop func() error) error {
	t.title("Stop the Pods and remove everything", "")
	start := time.Now()
	if err := stop(); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	for _, addr := range t.left {
		if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			conn.Close()
			return fmt.Errorf("cleaning up: %s still answers", addr)
		}
	}
	t.say("Done in %d ms; none of the %d addresses that answered before does now.", time.Since(start).Milliseconds(),
		len(t.left))
	return nil
}

func (t *tour) goodbye() {
	fmt.Fprintf(t.out, "\nAll claims held. The whole tour took %.1f s.\n", time.Since(t.began).Seconds())
}

func (t *tour) closeServers() { t.stop() }

// serve runs the servers that are no Pods until closeServers.
func (t *tour) serve(servers []*echo.Server) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, len(servers))
	for _, s := range servers {
		go func() {
			s.Run(ctx) // how they end is of no interest: while they should answer, step 4 notices
			ended <- struct{}{}
		}()
	}
	t.outsiders = servers
	t.stop = func() {
		cancel()
		for range servers {
			<-ended
		}
	}
}

// awaitEndpoints waits until the Endpoints of a Service are as wanted, and returns them.
func (t *tour) awaitEndpoints(ctx context.Context, name string, as func(*v1.Endpoints) bool) (*v1.Endpoints, error) {
	return await(ctx, t.client.CoreV1().RESTClient(), "endpoints", name, &v1.Endpoints{}, as)
}

func (t *tour) awaitPod(ctx context.Context, name string, as func(*v1.Pod) bool) (*v1.Pod, error) {
	return await(ctx, t.client.CoreV1().RESTClient(), "pods", name, &v1.Pod{}, as)
}

// await watches one object of the default namespace until it is as wanted.
func await[T runtime.Object](ctx context.Context, client cache.Getter, resource, name string, kind T,
	as func(T) bool) (T, error) {
	var found T
	lw := cache.NewListWatchFromClient(client, resource, metav1.NamespaceDefault,
		fields.OneTermEqualSelector("metadata.name", name))
	_, err := watchtools.UntilWithSync(ctx, lw, kind, nil, func(e watch.Event) (bool, error) {
		obj, ok := e.Object.(T)
		if !ok || e.Type == watch.Deleted || !as(obj) {
			return false, nil
		}
		found = obj
		return true, nil
	})
	if err != nil {
		return found, fmt.Errorf("waiting for %s %s: %w", resource, name, err)
	}
	return found, nil
}
