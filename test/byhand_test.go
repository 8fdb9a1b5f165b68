package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// replicas are programs that a person runs, at addresses that a person writes into Endpoints.
type replicas struct {
	h       *host
	port    int
	ips     []string
	running map[string]*running
}

func startReplicas(h *host, ips ...string) *replicas {
	h.t.Helper()
	l, err := net.Listen("tcp", ips[0]+":0")
	if err != nil {
		h.t.Fatal(err)
	}
	r := &replicas{h: h, port: l.Addr().(*net.TCPAddr).Port, ips: ips, running: map[string]*running{}}
	l.Close()
	for _, ip := range ips {
		r.start(ip)
	}
	return r
}

func (r *replicas) start(ip string) {
	r.h.t.Helper()
	at := net.JoinHostPort(ip, strconv.Itoa(r.port))
	r.running[ip] = startProcess(r.h.t, viaductCommand(r.h.t, "echo", "--name", ip, "--listen", at))
	eventually(r.h.t, at+" answers", func() error {
		conn, err := net.Dial("tcp", at)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// manifest is a Service without a selector and the Endpoints that a person wrote for it.
func (r *replicas) manifest(annotations string) string {
	var addresses []string
	for _, ip := range r.ips {
		addresses = append(addresses, "{ip: "+ip+"}")
	}
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: db, annotations: {%s}}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: db}
subsets: [{addresses: [%s], ports: [{port: %d}]}]
`, annotations, strings.Join(addresses, ", "), r.port)
}

// load asks a Service for as long as it is told to, with a new connection each time, and counts who answered; "" is
// nobody.
type load struct {
	stop  chan struct{}
	done  sync.WaitGroup
	mu    sync.Mutex
	count map[string]int // guarded by mu
}

func startLoad(url string, clients int) *load {
	l := &load{stop: make(chan struct{}), count: map[string]int{}}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	for range clients {
		l.done.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
					who := askWho(client, url)
					l.mu.Lock()
					l.count[who]++
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

// askWho is the first word of the answer, which is the name of who gave it.
func askWho(client *http.Client, url string) string {
	response, err := client.Get(url)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return ""
	}
	who, _, _ := strings.Cut(string(body), " ")
	return who
}

// since is how many answers came from whom since the last call.
func (l *load) since() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := l.count
	l.count = map[string]int{}
	return count
}

func (l *load) end() {
	close(l.stop)
	l.done.Wait()
}

// awaitAnswers waits until n requests were answered since the last call of since.
func (l *load) awaitAnswers(t testing.TB, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d answers", n), func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		sum := 0
		for _, c := range l.count {
			sum += c
		}
		if sum < n {
			return fmt.Errorf("%d so far", sum)
		}
		return nil
	})
}

// awaitState waits until the mirror of db says of ip that it gets connections, or that it does not.
func (h *host) awaitState(ip string, ready bool) {
	h.t.Helper()
	await(h.t, h.client().DiscoveryV1().RESTClient(), "endpointslices", metav1.NamespaceDefault, "",
		&discovery.EndpointSlice{}, func(s *discovery.EndpointSlice) bool {
			for _, e := range s.Endpoints {
				if s.Labels[discovery.LabelServiceName] == "db" && e.Addresses[0] == ip && e.Conditions.Serving != nil &&
					*e.Conditions.Ready == ready {
					return true
				}
			}
			return false
		})
}

// A program behind hand-written Endpoints is killed under load: nearly nobody notices, and once the check has found it,
// nobody. It comes back, and takes its share again.
func TestHandWrittenEndpointDies(t *testing.T) {
	t.Parallel()
	h := up(t, "--proxy", "userspace", "--runtime", "none")
	r := startReplicas(h, "127.0.0.61", "127.0.0.62", "127.0.0.63")
	h.apply(r.manifest("viaduct.dev/health-check: tcp"))
	h.awaitState("127.0.0.62", true)
	l := startLoad(h.url("db"), 4)
	defer l.end()
	l.awaitAnswers(t, 500)
	if c := l.since(); c[""] > 0 || c["127.0.0.62"] == 0 {
		t.Errorf("before: %v", c)
	}
	r.running["127.0.0.62"].signal(syscall.SIGKILL)
	h.awaitState("127.0.0.62", false)
	l.awaitAnswers(t, 1000)
	c := l.since()
	if all := c[""] + c["127.0.0.61"] + c["127.0.0.62"] + c["127.0.0.63"]; c[""]*100 >= all {
		t.Errorf("1 %% or more failed: %v", c)
	}
	l.awaitAnswers(t, 500)
	if c := l.since(); c[""]+c["127.0.0.62"] > 0 {
		t.Errorf("once it was found dead: %v", c)
	}
	r.start("127.0.0.62")
	h.awaitState("127.0.0.62", true)
	eventually(t, "it takes its share", func() error {
		l.since()
		l.awaitAnswers(t, 300)
		if c := l.since(); c[""] > 0 || c["127.0.0.62"] < 50 {
			return fmt.Errorf("%v", c)
		}
		return nil
	})
}

// `viaduct explain` and `viaduct trace`, as a user types them.
func TestExplain(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	port := h.addresses.Service(250).String() + ":10249"
	run := h.start("--proxy", "userspace", "--runtime", "none", "--metrics-bind-address", port)
	defer h.stop(run)
	r := startReplicas(h, "127.0.0.71", "127.0.0.72")
	h.apply(r.manifest("viaduct.dev/health-check: tcp"))
	h.awaitState("127.0.0.72", true)
	explain := func(args ...string) result {
		return runViaduct(t, "", append([]string{"explain", "--data-dir", h.dir, "--proxy-address", "http://" + port},
			args...)...)
	}
	check := func(what string, got result, code int, says ...string) {
		t.Helper()
		if got.code != code {
			t.Errorf("%s exits %d, want %d:\n%s", what, got.code, code, got.all())
		}
		for _, s := range says {
			if !strings.Contains(got.all(), s) {
				t.Errorf("%s does not say %q:\n%s", what, s, got.all())
			}
		}
	}
	eventually(t, "all is well", func() error {
		if got := explain("service/db", "--probe"); got.code != 0 {
			return fmt.Errorf("%s", got.all())
		}
		return nil
	})
	check("a Service that is well", explain("db", "--probe"), 0, "All is well: two addresses get connections.",
		"it answers its health check", "Proxy of node here, userspace", "answers")
	r.running["127.0.0.72"].signal(syscall.SIGKILL)
	h.awaitState("127.0.0.72", false)
	eventually(t, "the proxy has heard", func() error {
		if got := explain("svc/db"); !strings.Contains(got.stdout, "It works: one address gets connections, of 2.") {
			return fmt.Errorf("%s", got.all())
		}
		return nil
	})
	check("as JSON", explain("endpoints", "db", "-o", "json"), 0, `"reason": "CheckFailed"`,
		`"cause": "connection refused"`, `"healthy": true`)
	trace := func(proxy string) result {
		return runViaduct(t, "", "trace", "node", "to", h.service("db").Spec.ClusterIP+":80", "--data-dir", h.dir,
			"--node-name", nodeName, "--proxy-address", proxy)
	}
	check("a trace", trace("http://"+port), 0, "Service     default/db, its ClusterIP", "127.0.0.71",
		"by this node's proxy")
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	check("where kube-proxy answers", explain("db", "--proxy-address", other.URL), 0,
		"perhaps kube-proxy: what it has applied is not known")
	check("a trace where kube-proxy answers", trace(other.URL), 0, "Service     default/db, its ClusterIP", "127.0.0.71",
		"computed for node "+nodeName)
	h.apply("{apiVersion: v1, kind: Service, metadata: {name: typo}, spec: {selector: {app: Web}, ports: [{port: 80}]}}")
	check("a Service of nobody", explain("typo"), 1, "there is no Pod in namespace default.")
	check("nothing", explain("service/nope"), 1, `services "nope" not found`)
	check("nonsense", explain("deployment/web"), 2, "cannot be explained")

	plugins := t.TempDir()
	if err := os.Symlink(viaductPath(t), filepath.Join(plugins, "kubectl-viaduct")); err != nil {
		t.Fatal(err)
	}
	cmd := viaductCommand(t, "kubectl", "--data-dir", h.dir, "viaduct", "explain", "svc/db", "--proxy-address", "")
	cmd.Env = append(cmd.Env, "PATH="+plugins+":"+os.Getenv("PATH"))
	check("as a plugin", finish(t, cmd, ""), 0, "It works: one address gets connections, of 2.")
}

// One controller finds that a program has died, is stopped, and the next, which begins with what the slices say, finds
// that it is back: the slices say nothing else in between.
func TestChecksAreHandedOverBetweenControllers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	server := h.startServer()
	first, second := h.twoControllers()
	r := startReplicas(h, "127.0.0.101", "127.0.0.102")
	h.apply(r.manifest("viaduct.dev/health-check: tcp interval=200ms"))
	h.awaitState("127.0.0.102", true)
	r.running["127.0.0.102"].signal(syscall.SIGKILL)
	h.awaitState("127.0.0.102", false)
	api := h.client().DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	only := metav1.ListOptions{LabelSelector: discovery.LabelServiceName + "=db"}
	list, err := api.List(t.Context(), only)
	if err != nil {
		t.Fatal(err)
	}
	only.ResourceVersion = list.ResourceVersion
	events, err := api.Watch(t.Context(), only)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	first.signal(syscall.SIGTERM)
	second.awaitReady("leading")
	r.start("127.0.0.102")
	select {
	case e := <-events.ResultChan(): // the first one there is, since the first controller found the death
		s, ok := e.Object.(*discovery.EndpointSlice)
		if !ok {
			t.Fatalf("the slices: %s %v", e.Type, e.Object)
		}
		for _, end := range s.Endpoints {
			if !*end.Conditions.Ready || !*end.Conditions.Serving {
				t.Errorf("after the hand-over, %s is %+v", end.Addresses[0], end.Conditions)
			}
		}
	case <-time.After(patience):
		t.Fatal("the second controller does not find that the program is back")
	}
	rightsSufficed(t, first, second)
	second.signal(syscall.SIGTERM)
	if code := second.wait(); code != 0 {
		t.Errorf("the second exits %d", code)
	}
	h.stop(server)
}
