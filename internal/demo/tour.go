package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/apply"
	"viaduct/internal/datadir"
	"viaduct/internal/echo"
	"viaduct/internal/waitfor"
)

// stepTimeout bounds one step of the tour. A step takes a second or two on an idle machine.
const stepTimeout = 20 * time.Second

// A tour shows what a Service is, step by step, and checks every claim that it prints.
type tour struct {
	out     io.Writer
	dataDir string
	began   time.Time
	steps   int // number of the current step, from 1

	api      kubernetes.Interface
	apply    *apply.Applier
	requests *requester
	answered []string // addresses that answered, and that must not answer after the end

	external            []*echo.Server // servers that are not Pods
	stopExternalServers func()
}

func newTour(out io.Writer, dataDir string) *tour {
	return &tour{out: out, dataDir: dataDir, began: time.Now(), requests: newRequester(), stopExternalServers: func() {}}
}

// walk takes every step. The first claim that is not true ends it.
func (t *tour) walk(ctx context.Context, api kubernetes.Interface, url string) error {
	t.api = api
	t.apply = apply.New(t.dataDir, indented{t})
	t.say("The API answers at %s after %d ms.", url, time.Since(t.began).Milliseconds())
	steps := []func(context.Context) error{t.quickstart, t.podTraffic, t.externalTraffic, t.unready, t.environment}
	for _, step := range steps {
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
	fmt.Fprintf(t.out, "To look at it yourself, run in another terminal: export KUBECONFIG=%s\n",
		datadir.Kubeconfig(t.dataDir))
	t.title("Start the API server, the controllers, the proxy and the node agent", "kubectl get nodes,services")
}

// title begins a step. command shows the same state to a user; it may be empty.
func (t *tour) title(what, command string) {
	t.steps++
	fmt.Fprintf(t.out, "\n%d. %s   [at %d ms]\n", t.steps, what, time.Since(t.began).Milliseconds())
	if command != "" {
		fmt.Fprintf(t.out, "   $ %s\n", command)
	}
}

func (t *tour) say(format string, args ...any) {
	fmt.Fprintf(t.out, "   "+format+"\n", args...)
}

// indented writes lines to the tour's output with its indentation.
type indented struct{ *tour }

func (i indented) Write(p []byte) (int, error) {
	_, err := fmt.Fprintf(i.out, "   %s", p)
	return len(p), err
}

func (t *tour) stay() {
	t.title("Everything stays up because of --keep; Ctrl-C stops and removes it", "")
	t.say("export KUBECONFIG=%s", datadir.Kubeconfig(t.dataDir))
	t.say("kubectl get pods,services,endpoints -o wide")
	t.say("Changes are printed here:")
}

// end is the last step. It calls stop, which ends all of Viaduct, and checks that no address answers any more.
func (t *tour) end(stop func() error) error {
	t.title("Stop the Pods and remove everything", "")
	start := time.Now()
	if err := stop(); err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	for _, addr := range t.answered {
		if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			conn.Close()
			return fmt.Errorf("cleaning up: %s still answers", addr)
		}
	}
	t.say("Done in %d ms; none of the %d addresses that answered before answers now.", time.Since(start).Milliseconds(),
		len(t.answered))
	return nil
}

func (t *tour) goodbye() {
	fmt.Fprintf(t.out, "\nAll claims held. The whole tour took %.1f s.\n", time.Since(t.began).Seconds())
}

func (t *tour) kind(resource string) waitfor.Kind {
	return waitfor.Kind{Client: t.api.CoreV1().RESTClient(), Resource: resource, Namespace: metav1.NamespaceDefault}
}

func (t *tour) waitForEndpoints(ctx context.Context, name string, done func(*v1.Endpoints) bool) (*v1.Endpoints,
	error) {
	return waitfor.Object(ctx, t.kind("endpoints"), name, &v1.Endpoints{}, done)
}

func (t *tour) waitForPod(ctx context.Context, name string, done func(*v1.Pod) bool) (*v1.Pod, error) {
	return waitfor.Object(ctx, t.kind("pods"), name, &v1.Pod{}, done)
}
