package test

import (
	"fmt"
	"net"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Every manifest of examples/ has a test of what it claims; a new one has to be added here.
var exampleTests = map[string]func(*testing.T, *host){
	"balancing.yaml":              balancingExample,
	"env.yaml":                    nil, // TestEnvironmentExample
	"quickstart":                  nil, // TestQuickstart
	"grafana":                     nil, // TestDashboard
	"hand-written-endpoints.yaml": handWrittenExample,
	"health-check.yaml":           checkedExample,
	"headless.yaml":               headlessExample,
	"probes.yaml":                 probesExample,
	"session-affinity.yaml":       affinityExample,
	"udp.yaml":                    udpExample,
}

func TestExamples(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		_, tested := exampleTests[entry.Name()]
		if ext := path.Ext(entry.Name()); !tested && ext != ".go" && ext != ".md" {
			t.Errorf("examples/%s has no test", entry.Name())
		}
	}
	h := up(t)
	for name, test := range exampleTests {
		if test == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			test(t, &host{t: t, dir: h.dir, addresses: h.addresses})
		})
	}
	all := []string{"apply", "--server-side", "--dry-run=server", "--force-conflicts", "-o", "name"}
	for name := range exampleTests {
		if name != "grafana" {
			all = append(all, "-f", "../examples/"+name)
		}
	}
	twice := h.kubectl(all...)
	wantText(t, "all examples at once", twice, "service/hello", "pod/environment", "endpoints/database")
}

func (h *host) applyExample(name string) {
	h.t.Helper()
	if out := h.kubectl("apply", "-f", "../examples/"+name); strings.Contains(out, "error") {
		h.t.Errorf("apply says %s", out)
	}
}

func handWrittenExample(t *testing.T, h *host) {
	to := t.TempDir()
	port := outsiders(t, "postgres")
	copyExample(t, "hand-written-endpoints.yaml", to, "port: 5432}", "port: "+strconv.Itoa(port)+"}")
	h.kubectl("apply", "-f", to)
	h.wantAnswers("database", "postgres") // and nobody at 127.0.0.3, who is not ready
	got := h.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=database", "-o",
		"jsonpath={range .items[*].endpoints[*]}{.addresses[0]} {.conditions.ready}{\"\\n\"}{end}")
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if slices.Sort(lines); !slices.Equal(lines, []string{"127.0.0.1 true", "127.0.0.3 false"}) {
		t.Errorf("mirrored: %v", lines)
	}
}

func headlessExample(t *testing.T, h *host) {
	h.applyExample("headless.yaml")
	h.waitFor("--for=condition=Ready", "pod", "follower")
	endpoints := h.awaitEndpoints("peers", 2)
	var names []string
	for _, a := range endpoints.Subsets[0].Addresses {
		names = append(names, a.Hostname)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"follower", "leader"}) {
		t.Errorf("host names %v of %v", names, endpoints.Subsets)
	}
	if _, headless := endpoints.Labels[v1.IsHeadlessService]; !headless || endpoints.Subsets[0].Ports[0].Port != 8080 {
		t.Errorf("endpoints %v", endpoints)
	}
	if leader := h.awaitPod("leader", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning }); podReady(leader) {
		t.Error("leader is ready, and was to be an example of one that never is")
	}
	if ip := h.service("peers").Spec.ClusterIP; ip != "None" {
		t.Errorf("a headless service has the address %s", ip)
	}
}

func probesExample(t *testing.T, h *host) {
	h.applyExample("probes.yaml")
	h.waitFor("--for=condition=Ready", "pod", "probed")
	h.wantAnswers("probed", "probed")
	pod := h.awaitPod("probed", podReady)
	if started := pod.Status.ContainerStatuses[0].Started; started == nil || !*started {
		t.Error("the startup probe has passed, but the status does not say so")
	}
	res, err := visitor.Post(fmt.Sprintf("http://%s:8080/ready?ok=false", pod.Status.PodIP), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	h.awaitEndpoints("probed", 0)
	h.awaitWarning("Pod", "probed", "Unhealthy", "Readiness probe failed: HTTP status 503")
	pod = h.awaitPod("probed", func(p *v1.Pod) bool { return !podReady(p) })
	if n := pod.Status.ContainerStatuses[0].RestartCount; n != 0 {
		t.Errorf("restarted %d times, for a readiness probe", n)
	}
}

func balancingExample(t *testing.T, h *host) {
	h.applyExample("balancing.yaml")
	h.waitFor("--for=condition=Ready", "pod", "-l", "app=balanced")
	h.awaitEndpoints("balanced", 3)
	url := h.url("balanced")
	// The shares are exact after the slow start; a window of eight connections then holds two rounds.
	eventually(t, "three connections of four to the heavy Pod, and none to the drained one", func() error {
		got := map[string]int{}
		for range 8 {
			who, err := visit(url)
			if err != nil {
				return err
			}
			got[who]++
		}
		most := 0
		for _, n := range got {
			most = max(most, n)
		}
		if len(got) != 2 || most != 6 {
			return fmt.Errorf("eight connections went to %v", got)
		}
		return nil
	})
}

func affinityExample(t *testing.T, h *host) {
	h.applyExample("session-affinity.yaml")
	h.waitFor("--for=condition=Ready", "pod", "-l", "app=sticky")
	h.awaitEndpoints("sticky", 2)
	url, first := h.url("sticky"), ""
	eventually(t, "visiting the sticky service", func() (err error) {
		first, err = visit(url)
		return err
	})
	for range 50 {
		if who, err := visit(url); err != nil || who != first {
			t.Fatalf("%q answers, %v; %s did before", who, err, first)
		}
	}
}

func udpExample(t *testing.T, h *host) {
	h.applyExample("udp.yaml")
	h.waitFor("--for=condition=Ready", "pod", "chatter")
	h.awaitEndpoints("chatter", 1)
	at := net.JoinHostPort(h.service("chatter").Spec.ClusterIP, "9000")
	for network, message := range map[string]string{"udp": "over UDP", "tcp": "over TCP\n"} {
		eventually(t, "talking "+message, func() error {
			got, err := exchange(network, at, message)
			if err == nil && got != "chatter "+message {
				err = fmt.Errorf("answer %q", got)
			}
			return err
		})
	}
	slices, err := h.client().DiscoveryV1().EndpointSlices("default").List(t.Context(),
		metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=chatter"})
	if err != nil || len(slices.Items) != 1 || len(slices.Items[0].Ports) != 2 {
		t.Errorf("slices %v, %v; want one with two ports", slices, err)
	}
}

// exchange sends a message and gives the answer. A datagram may be lost, or refused: whoever calls tries again.
func exchange(network, at, message string) (string, error) {
	conn, err := net.DialTimeout(network, at, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(message)); err != nil {
		return "", err
	}
	answer := make([]byte, 1024)
	n, err := conn.Read(answer)
	return string(answer[:n]), err
}

// Of two addresses that somebody wrote, the one where nobody listens gets no connections.
func checkedExample(t *testing.T, h *host) {
	l, err := net.Listen("tcp", "127.0.0.51:15432")
	if err != nil {
		t.Skipf("the example's port is taken: %v", err)
	}
	defer l.Close()
	h.applyExample("health-check.yaml")
	h.awaitWarning("Service", "database-pair", "EndpointDown", "127.0.0.52:15432 does not answer its health check "+
		"(tcp): connection refused")
	eventually(t, "explain tells of one address", func() error {
		got := runViaduct(t, "", "explain", "database-pair", "--data-dir", h.dir, "--proxy-address", "")
		if got.code != 0 || !strings.Contains(got.stdout, "It works: one address gets connections, of 2.") {
			return fmt.Errorf("exit %d: %s", got.code, got.all())
		}
		return nil
	})
}
