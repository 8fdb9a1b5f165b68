package test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestKilledProcessIsStartedAgain(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(echoPod("victim"))
	pod := h.awaitRun("victim", 0)
	before := h.podProcesses(string(pod.UID))
	for _, pid := range before {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	again := h.awaitRun("victim", 1)
	if now := h.podProcesses(string(pod.UID)); slices.Equal(now, before) {
		t.Errorf("processes %v, as before", now)
	}
	end := again.Status.ContainerStatuses[0].LastTerminationState.Terminated
	if end == nil || end.ExitCode != 137 || end.Reason != "Error" {
		t.Errorf("the status says of the end %+v, want exit code 137", end)
	}
	if again.Status.PodIP != pod.Status.PodIP || again.UID != pod.UID {
		t.Errorf("another Pod came back: %s at %s, was %s at %s", again.UID, again.Status.PodIP, pod.UID, pod.Status.PodIP)
	}
}

func TestContainersThatCannotRun(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(`
apiVersion: v1
kind: Pod
metadata: {name: no-such-program}
spec: {containers: [{name: main, image: any, command: [/no/such/program]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: no-command}
spec: {containers: [{name: main, image: registry.example/web}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ends}
spec: {containers: [{name: main, image: any, command: [sh, -c, exit 3]}]}
`)
	for name, want := range map[string][]string{
		"no-such-program": {`/no/such/program`, "no such file", "Back-off restarting", "Exit Code:    128"},
		"no-command":      {"CreateContainerConfigError", "has no command", "registry.example/web"},
		"ends":            {"CrashLoopBackOff", "Exit Code:    3", "Back-off restarting", "Last State:     Terminated"},
	} {
		eventually(t, "describing pod "+name, func() error {
			text := h.kubectl("describe", "pod", name)
			for _, piece := range want {
				if !strings.Contains(text, piece) {
					return fmt.Errorf("no %q in\n%s", piece, text)
				}
			}
			return nil
		})
	}
	h.apply(echoPod("fine"))
	h.waitFor("--for=condition=Ready", "pod", "fine")
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	h := up(t)
	taken := h.addresses.Service(9)
	other, err := net.Listen("tcp", taken.String()+":8080")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	h.apply(echoPod("web"))
	h.apply(fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: unlucky}
spec: {clusterIP: %s, selector: {app: web}, ports: [{name: taken, port: 8080}, {name: free, port: 8081, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: lucky}
spec: {selector: {app: web}, ports: [{port: 8080}]}
`, taken))
	event := h.awaitWarning("Service", "unlucky", "PortNotBound", "")
	if want := taken.String() + ":8080"; !strings.Contains(event.Message, want) || !strings.Contains(event.Message,
		"address already in use") {
		t.Errorf("the event says %q, want it to name %s and the reason", event.Message, want)
	}
	if text := h.kubectl("describe", "service", "unlucky"); !strings.Contains(text, "PortNotBound") {
		t.Errorf("describe does not tell:\n%s", text)
	}
	h.wantAnswers("lucky", "web")
	eventually(t, "the other port of the unlucky service", func() error {
		_, err := visit("http://" + taken.String() + ":8081")
		return err
	})
	other.Close() // now it is free: the proxy finds out by itself within 30 s, and at once if the Service changes
	h.kubectl("patch", "service", "unlucky", "-p", `{"spec":{"sessionAffinity":"ClientIP"}}`)
	h.wantAnswers("unlucky", "web")
}

// nobody is the user that everything has to work for: one without any privilege.
const nobody = 65534

func TestWithoutPrivilege(t *testing.T) {
	t.Parallel()
	first, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	cmd := viaductCommand(t, append([]string{"up", "--data-dir", h.dir, "--listen", "127.0.0.1:0", "--node-name",
		nodeName}, h.addresses.Flags()...)...)
	if os.Geteuid() == 0 {
		h.dir = dirFor(t, nobody)
		cmd.Args[3] = h.dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	r := startProcess(t, cmd)
	r.out.await(t, "ready in", r.ended)
	t.Cleanup(func() { h.stop(r) })
	h.apply(echoPod("web"))
	h.apply(`
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: high, port: 8080}, {name: low, port: 80, targetPort: 8080}]}
`)
	h.wantAnswers("web", "web")
	at := h.service("web").Spec.ClusterIP + ":80"
	if n, _ := strconv.Atoi(strings.TrimSpace(string(first))); n <= 80 {
		t.Logf("no port needs privilege on this host (net.ipv4.ip_unprivileged_port_start=%d), so port 80 has to work", n)
		eventually(t, "port 80", func() error { _, err := visit("http://" + at); return err })
		return
	}
	event := h.awaitWarning("Service", "web", "PortNotBound", "")
	for _, want := range []string{at, "permission denied", "1024 or more", "setcap"} {
		if !strings.Contains(event.Message, want) {
			t.Errorf("the event says %q, without %q", event.Message, want)
		}
	}
}

// dirFor is a data directory, and all that it lies in, for another user.
func dirFor(t testing.TB, uid int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "viaduct-e2e-nobody-") // t.TempDir lies in one that is for us alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}

// Whoever looks at the host must not find the kubeconfig or the keys open to others.
func TestSecretsAreForTheOwner(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.waitFor("--for=condition=Ready", "node", nodeName) // then all parts have begun
	for _, name := range []string{"kubeconfig", "pki", "etcd", "pods", "lock"} {
		info, err := os.Stat(filepath.Join(h.dir, name))
		if err != nil {
			t.Error(err)
		} else if others := info.Mode().Perm() & 0o077; others != 0 {
			t.Errorf("%s has mode %s: others may use it", name, info.Mode())
		}
	}
	if info, err := os.Stat(filepath.Join(h.dir, "kubeconfig")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig has mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestPartsApart(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	kubeconfig := filepath.Join(h.dir, "kubeconfig")
	server := startProcess(t, viaductCommand(t, "server", "--data-dir", h.dir, "--listen", "127.0.0.1:0", "--service-cidr",
		h.addresses.Services.String()))
	server.out.await(t, "ready in", server.ended)
	agentDir, agentPort := t.TempDir(), h.addresses.Service(250).String()+":10255"
	parts := []*exec.Cmd{
		viaductCommand(t, "controller", "--kubeconfig", kubeconfig, "--controllers", "endpoints,scheduler", "--secure-port",
			"0"),
		viaductCommand(t, "proxy", "--kubeconfig", kubeconfig, "--node-name", nodeName),
		viaductCommand(t, "agent", "--kubeconfig", kubeconfig, "--node-name", nodeName, "--data-dir", agentDir, "--pod-cidr",
			h.addresses.Pods.String(), "--metrics-bind-address", agentPort),
	}
	var apart []*running
	for _, part := range parts {
		apart = append(apart, startProcess(t, part))
	}
	port := outsiders(t, "outsider-a", "outsider-b")
	h.kubectl("apply", "-f", quickstart(t, port))
	h.wantQuickstart(port)
	if metrics := getText(t, "http://"+agentPort+"/metrics"); !strings.Contains(metrics, "kubelet_running_pods 3\n") {
		t.Errorf("the agent does not count the three Pods:\n%s", metrics)
	}
	for i := len(apart) - 1; i >= 0; i-- {
		apart[i].signal(syscall.SIGTERM)
		if code := apart[i].wait(); code != 0 {
			t.Errorf("viaduct %s exits %d:\n%s", apart[i].cmd.Args[1], code, apart[i].out.text())
		}
	}
	if left := processesUsing(agentDir); len(left) > 0 {
		t.Errorf("the agent left %s", describeAll(left))
	}
	h.stop(server)
}
