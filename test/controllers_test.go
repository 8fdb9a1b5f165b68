package test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// aController is a `viaduct controller` with its port for questions.
type aController struct {
	*running
	url string
}

// controller starts one by a kubeconfig.
func (h *host) controller(kubeconfig string) aController {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		h.t.Fatal(err)
	}
	cmd := viaductCommand(h.t, "controller", "-v", "--kubeconfig", kubeconfig, "--secure-port", fmt.Sprint(port))
	return aController{startProcess(h.t, cmd), fmt.Sprintf("https://127.0.0.1:%d", port)}
}

// ask asks a controller as the owner of a token; "" is nobody.
func (c aController) ask(path, token string) (code int, body string, err error) {
	// It vouches for itself alone: a certificate is made at each start.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodGet, c.url+path, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

func (c aController) awaitReady(want string) {
	c.t.Helper()
	eventually(c.t, "the controller is ready: "+want, func() error {
		code, body, err := c.ask("/readyz", "")
		if err == nil && (code != http.StatusOK || !strings.Contains(body, want)) {
			err = fmt.Errorf("it answers %d: %s", code, body)
		}
		return err
	})
}

// serviceWithPod has a Service and one Pod that is ready, as some agent would say.
const serviceWithPod = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {nodeName: far, containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: Pod
metadata: {name: stray, labels: {app: Web}}
spec: {nodeName: far, containers: [{name: c, image: i}]}
`

func (h *host) setReady(pod, ip string, ready bool) {
	h.t.Helper()
	status := fmt.Sprintf(
		`{"status": {"phase": "Running", "podIP": %q, "podIPs": [{"ip": %q}], "conditions": [{"type": "Ready", "status": %q}]}}`,
		ip, ip, map[bool]string{true: "True", false: "False"}[ready])
	h.kubectl("patch", "pod", pod, "--subresource", "status", "--type", "merge", "-p", status)
}

// readyAddresses are those of the Endpoints of web.
func (h *host) awaitAddresses(want string) {
	h.t.Helper()
	eventually(h.t, "the endpoints are "+want, func() error {
		if got := h.kubectl("get", "endpoints", "web", "-o", "jsonpath={.subsets[*].addresses[*].ip}",
			"--ignore-not-found"); got != want {
			return fmt.Errorf("they are %q", got)
		}
		return nil
	})
}

// serviceAccountKubeconfig applies the manifest that is shipped, and logs in as the account that it makes.
func (h *host) serviceAccountKubeconfig() string {
	h.t.Helper()
	h.kubectl("apply", "-f", filepath.Join("..", "deploy", "controller", "rbac.yaml"))
	config, err := clientcmd.LoadFromFile(filepath.Join(h.dir, "kubeconfig"))
	if err != nil {
		h.t.Fatal(err)
	}
	token := strings.TrimSpace(h.kubectl("create", "token", "viaduct-controller", "-n", "kube-system"))
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	}
	path := filepath.Join(h.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// twoControllers are two with the rights of the shipped manifest: the first leads.
func (h *host) twoControllers() (first, second aController) {
	h.t.Helper()
	kubeconfig := h.serviceAccountKubeconfig()
	first = h.controller(kubeconfig)
	first.awaitReady("leading")
	second = h.controller(kubeconfig)
	second.awaitReady("standby: ")
	return first, second
}

func rightsSufficed(t *testing.T, controllers ...aController) {
	t.Helper()
	for _, c := range controllers {
		if text := c.out.text(); strings.Contains(strings.ToLower(text), "forbidden") {
			t.Errorf("the shipped rights do not suffice:\n%s", text)
		}
	}
}

// Two controllers with the rights of the shipped manifest and no more: one works and the other waits, and follows when
// the first is stopped.
func TestControllersTakeTurns(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	server := h.startServer()
	first, second := h.twoControllers()
	h.apply(serviceWithPod)
	h.setReady("web-1", "10.0.0.1", true)
	h.awaitAddresses("10.0.0.1")
	first.signal(syscall.SIGTERM)
	if code := first.wait(); code != 0 {
		t.Errorf("the first exits %d:\n%s", code, first.out.text())
	}
	second.awaitReady("leading")
	h.setReady("web-1", "10.0.0.1", false)
	h.awaitAddresses("")
	second.signal(syscall.SIGTERM)
	if code := second.wait(); code != 0 {
		t.Errorf("the second exits %d:\n%s", code, second.out.text())
	}
	rightsSufficed(t, first, second)
	h.stop(server)
}

// The port for questions answers who may ask, and says why each Pod is in or is not.
func TestControllerAnswersQuestions(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	server := h.startServer()
	c := h.controller(h.serviceAccountKubeconfig())
	c.awaitReady("leading")
	h.apply(serviceWithPod)
	h.setReady("web-1", "10.0.0.1", true)
	h.setReady("stray", "10.0.0.2", true)
	h.awaitAddresses("10.0.0.1")
	for _, name := range []string{"asker", "stranger"} {
		h.kubectl("create", "serviceaccount", name)
	}
	h.kubectl("create", "clusterrole", "asks", "--verb=get", "--non-resource-url=/metrics,/debug/endpoints/*")
	h.kubectl("create", "clusterrolebinding", "asks", "--clusterrole=asks", "--serviceaccount=default:asker")
	asker, stranger := strings.TrimSpace(h.kubectl("create", "token", "asker")),
		strings.TrimSpace(h.kubectl("create", "token", "stranger"))
	for _, q := range []struct {
		path, token string
		code        int
		says        []string
	}{
		{"/healthz", "", 200, []string{"ok"}},
		{"/metrics", "", 401, []string{"kubectl create token"}},
		{"/metrics", "nonsense", 401, nil},
		{"/metrics", stranger, 403, []string{`user "system:serviceaccount:default:stranger" cannot get path "/metrics"`}},
		{"/debug/endpoints/default/web", stranger, 403, nil},
		{"/metrics", asker, 200, []string{`endpoint_slice_controller_changes{operation="create"} 1`,
			`leader_election_master_status{name="viaduct-controller"} 1`,
			`endpoint_slice_controller_endpoints_desired 1`, "viaduct_endpoints_controller_sync_duration_seconds_count"}},
		{"/debug/endpoints/default/web", asker, 200, []string{`"name": "web-1"`, `"reason": "Ready"`, `"stray"`,
			`"why": "app=Web"`, `"ready": 1`}},
		{"/debug/endpoints/default/web?output=table", asker, 200, []string{"stray", "app=Web",
			"All is well: one Pod gets connections."}},
		{"/debug/endpoints/default/web?output=tabel", asker, 400, []string{`unknown output "tabel"; want json or table`}},
		{"/debug/endpoints/default/nobody", asker, 404, []string{`services "nobody" not found`}},
		{"/debug/pprof/", asker, 403, nil},
	} {
		code, body, err := c.ask(q.path, q.token)
		if err != nil {
			t.Fatal(err)
		}
		if code != q.code {
			t.Errorf("%s: %d %s, want %d", q.path, code, body, q.code)
		}
		for _, piece := range q.says {
			if !strings.Contains(body, piece) {
				t.Errorf("%s does not say %q:\n%s", q.path, piece, body)
			}
		}
	}
	c.signal(syscall.SIGTERM)
	if code := c.wait(); code != 0 {
		t.Errorf("it exits %d", code)
	}
	h.stop(server)
}

// In `viaduct up` the API server answers the same question.
func TestUpAnswersQuestions(t *testing.T) {
	t.Parallel()
	h := up(t, "--runtime", "none")
	h.apply(serviceWithPod)
	h.setReady("web-1", "10.0.0.1", true)
	h.awaitAddresses("10.0.0.1")
	table := h.kubectl("get", "--raw", "/debug/endpoints/default/web?output=table")
	for _, piece := range []string{"selector app=web", "it is ready", "Pods that it nearly selects",
		"endpointslice-controller.k8s.io"} {
		if !strings.Contains(table, piece) {
			t.Errorf("the answer does not say %q:\n%s", piece, table)
		}
	}
	if metrics := h.kubectl("get", "--raw", "/metrics/controllers"); !strings.Contains(metrics,
		`viaduct_endpoints{reason="Ready"} `) {
		t.Errorf("the metrics of the controllers are:\n%s", metrics)
	}
	if answer := h.tryKubectl("", "get", "--raw", "/debug/endpoints/default/web", "--as", "somebody"); answer.code == 0 ||
		!strings.Contains(answer.all(), "forbidden") {
		t.Errorf("somebody may ask: %+v", answer)
	}
}
