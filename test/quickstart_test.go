package test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestQuickstart(t *testing.T) {
	t.Parallel()
	h := up(t)
	port := outsiders(t, "outsider-a", "outsider-b")
	out := h.kubectl("apply", "-f", quickstart(t, port))
	for _, want := range []string{"service/hello created", "service/external-service created",
		"endpoints/external-service created",
		"pod/hello-1 created", "pod/hello-2 created", "pod/hello-3 created"} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("apply does not say %q:\n%s", want, out)
		}
	}
	h.wantQuickstart(port)
}

// wantQuickstart checks that both Services of the quickstart do what they are for.
func (h *host) wantQuickstart(outsidersPort int) {
	h.t.Helper()
	h.waitFor("--for=condition=Ready", "pod", "-l", "app=hello")
	ready := readyAddresses(h.awaitEndpoints("hello", 3))
	h.wantAnswers("hello", "hello-1", "hello-2", "hello-3")
	h.wantAnswers("external-service", "outsider-a", "outsider-b")

	ips := strings.Fields(h.kubectl("get", "pods", "-l", "app=hello", "-o", "jsonpath={.items[*].status.podIP}"))
	slices.Sort(ips)
	slices.Sort(ready)
	if !slices.Equal(ips, ready) {
		h.t.Errorf("endpoints %v, but the pods are at %v", ready, ips)
	}
	mirrored := h.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=external-service", "-o",
		"jsonpath={.items[*].endpoints[*].addresses[*]} {.items[*].ports[*].port} "+
			"{.items[*].metadata.labels.endpointslice\\.kubernetes\\.io/managed-by}")
	if want := fmt.Sprintf("127.0.0.1 127.0.0.2 %d endpointslicemirroring-controller.k8s.io",
		outsidersPort); mirrored != want {
		h.t.Errorf("mirrored slice %q, want %q", mirrored, want)
	}
}

// quickstart is the example with the port of its outsiders replaced, since the one it names may be taken on this
// machine.
func quickstart(t testing.TB, port int) string {
	t.Helper()
	to := t.TempDir()
	copyExample(t, "quickstart/pods.yaml", to)
	copyExample(t, "quickstart/service.yaml", to)
	copyExample(t, "quickstart/external-service.yaml", to, "9101", strconv.Itoa(port))
	return to
}

// copyExample copies a file of examples/ into a folder, with some texts replaced, each of which must occur.
func copyExample(t testing.TB, name, to string, replace ...string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../examples", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for pair := range slices.Chunk(replace, 2) {
		if !strings.Contains(text, pair[0]) {
			t.Fatalf("examples/%s no longer contains %q", name, pair[0])
		}
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	if err := os.WriteFile(filepath.Join(to, filepath.Base(name)), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// outsiders are servers of this test, no Pods, at 127.0.0.1, 127.0.0.2 and so on, on one port. Each answers with its
// name.
func outsiders(t testing.TB, names ...string) (port int) {
	t.Helper()
	var open []net.Listener
	for range 20 {
		open, port = nil, 0
		for i := range names {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:%d", i+1, port))
			if err != nil {
				break
			}
			open, port = append(open, l), l.Addr().(*net.TCPAddr).Port
		}
		if len(open) == len(names) {
			break
		}
		for _, l := range open {
			l.Close()
		}
	}
	if len(open) != len(names) {
		t.Fatalf("no port is free on %d addresses", len(names))
	}
	for i, l := range open {
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "%s\n",
				names[i])
		})}
		go server.Serve(l) // until the listener is closed
		t.Cleanup(func() { server.Close() })
	}
	return port
}

// A visitor makes a new connection for each request.
var visitor = http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// visit gives the first word of the answer: who answered.
func visit(url string) (string, error) {
	body, err := fetch(url)
	who, _, _ := strings.Cut(strings.TrimSpace(body), " ")
	return who, err
}

func fetch(url string) (string, error) {
	res, err := visitor.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, res.Status, body)
	}
	return string(body), err
}

// wantAnswers visits a Service until each of those named has answered, and nobody else. That the proxy has heard of the
// last of them can take a moment after the Endpoints say so.
func (h *host) wantAnswers(service string, names ...string) {
	h.t.Helper()
	slices.Sort(names)
	url, counts := h.url(service), map[string]int{}
	eventually(h.t, "visiting service "+service, func() error {
		for range 100 {
			who, err := visit(url)
			if err != nil {
				return err
			}
			counts[who]++
		}
		if got := slices.Sorted(maps.Keys(counts)); !slices.Equal(got, names) {
			return fmt.Errorf("%v answered, want %v", counts, names)
		}
		return nil
	})
}

// A Service nobody is ready behind refuses at once; it does not hang.
func TestServiceWithoutEndpointsRefuses(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(`{apiVersion: v1, kind: Service, metadata: {name: nobody}, spec: {selector: {app: nobody}, ports: [{port: 8080}]}}`)
	at := strings.TrimPrefix(h.url("nobody"), "http://")
	eventually(t, "connecting to "+at, func() error {
		if holds := listeners(t, h.addresses.Services); slices.Contains(holds, "tcp "+at) {
			return fmt.Errorf("it is listened on, although nobody is behind it")
		}
		start := time.Now()
		conn, err := net.DialTimeout("tcp", at, 5*time.Second)
		if err == nil {
			conn.Close()
			return fmt.Errorf("it accepts")
		}
		if took := time.Since(start); took > time.Second {
			return fmt.Errorf("it took %s to refuse: %w", took, err)
		}
		return nil
	})
	out := h.kubectl("get", "endpoints", "nobody", "--no-headers")
	if !strings.Contains(out, "<none>") {
		t.Errorf("endpoints of nobody: %q", out)
	}
}

// Endpoints that a person writes for a Service with a selector are put right; those of a Service without one are left
// alone.
func TestWhoOwnsEndpoints(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(`
apiVersion: v1
kind: Service
metadata: {name: computed}
spec: {selector: {app: none}, ports: [{port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: written}
spec: {ports: [{port: 8080}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: written}
subsets: [{addresses: [{ip: 127.0.0.1}], ports: [{port: 1234}]}]
`)
	h.awaitEndpoints("computed", 0)
	h.kubectl("patch", "endpoints", "computed", "--type=merge", "-p",
		`{"subsets":[{"addresses":[{"ip":"127.0.0.9"}],"ports":[{"port":99}]}]}`)
	h.waitFor("--for=jsonpath={.metadata.labels.endpoints\\.kubernetes\\.io/managed-by}=endpoint-controller", "endpoints",
		"computed")
	h.awaitEndpoints("computed", 0)
	written := readyAddresses(h.awaitEndpoints("written", 1))
	if !slices.Equal(written, []string{"127.0.0.1"}) {
		t.Errorf("written endpoints are now %v", written)
	}
	slices, err := h.client().DiscoveryV1().EndpointSlices("default").List(t.Context(),
		metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=computed"})
	if err != nil || len(slices.Items) != 1 || len(slices.Items[0].Endpoints) != 0 {
		t.Errorf("slices of computed: %v, %v; want one, empty", slices, err)
	}
}
