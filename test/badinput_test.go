package test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

// A wrong manifest is refused, and the message names the field and what is wrong with it.
func TestWrongManifests(t *testing.T) {
	t.Parallel()
	h := up(t)
	svc := func(spec string) string {
		return "{apiVersion: v1, kind: Service, metadata: {name: wrong}, spec: " + spec + "}"
	}
	pod := func(spec string) string {
		return "{apiVersion: v1, kind: Pod, metadata: {name: wrong}, spec: " + spec + "}"
	}
	for _, c := range []struct {
		what, manifest string
		says           []string
	}{
		{"no YAML", "apiVersion: v1\nkind: Service\n  metadata: [\n", []string{"error converting YAML to JSON", "line 3"}},
		{"no object", "hello", []string{"invalid object to validate"}},
		{"no kind", "{apiVersion: v1, metadata: {name: wrong}}", []string{"kind not set"}},
		{"a kind that is not served", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: wrong}}",
			[]string{`no matches for kind "Deployment" in version "apps/v1"`}},
		{"an unknown field", svc("{ports: [{port: 80, tragetPort: 8080}]}"),
			[]string{`unknown field "spec.ports[0].tragetPort"`}},
		{"text for a number", svc("{ports: [{port: eighty}]}"), []string{"spec.ports.port", "int32"}},
		{"an address outside the range", svc("{clusterIP: 10.0.0.1, ports: [{port: 80}]}"),
			[]string{"spec.clusterIPs", "10.0.0.1", "The range of valid IPs is " + h.addresses.Services.String()}},
		{"an address that is taken", svc("{clusterIP: " + h.addresses.Service(1).String() + ", ports: [{port: 80}]}"),
			[]string{"spec.clusterIPs", "provided IP is already allocated"}},
		{"an address that is none", svc("{clusterIP: 127.0.0.1111, ports: [{port: 80}]}"), []string{"spec.clusterIPs[0]",
			"must be a valid IP address"}},
		{"a name in capitals", strings.Replace(svc("{ports: [{port: 80}]}"), "wrong", "Wrong", 1), []string{"metadata.name",
			"lowercase RFC 1123"}},
		{"a name that is too long", strings.Replace(svc("{ports: [{port: 80}]}"), "wrong", strings.Repeat("a", 64), 1),
			[]string{"metadata.name", "63"}},
		{"a port that is too high", svc("{ports: [{port: 70000}]}"), []string{"spec.ports[0].port", "between 1 and 65535"}},
		{"no ports", svc("{ports: []}"), []string{"spec.ports: Required value"}},
		{"two ports without names", svc("{ports: [{port: 80}, {port: 81}]}"), []string{"spec.ports[0].name: Required value",
			"spec.ports[1].name"}},
		{"one port twice", svc("{ports: [{name: a, port: 80}, {name: b, port: 80}]}"),
			[]string{"spec.ports[1]: Duplicate value"}},
		{"an unknown protocol", svc("{ports: [{port: 80, protocol: ICMP}]}"), []string{"spec.ports[0].protocol", `"ICMP"`,
			`"SCTP", "TCP", "UDP"`}},
		{"a target port that is no name", svc("{ports: [{port: 80, targetPort: Web_1}]}"),
			[]string{"spec.ports[0].targetPort"}},
		{"an unknown affinity", svc("{ports: [{port: 80}], sessionAffinity: Cookie}"), []string{"spec.sessionAffinity",
			`"Cookie"`}},
		{"a selector that is none", svc("{ports: [{port: 80}], selector: {app: 'not a label'}}"), []string{"spec.selector",
			"not a label"}},
		{"a Pod without containers", pod("{}"), []string{"spec.containers: Required value"}},
		{"a container's name", pod("{containers: [{name: C, image: any}]}"), []string{"spec.containers[0].name"}},
		{"two containers of a name", pod("{containers: [{name: c, image: any}, {name: c, image: any}]}"),
			[]string{"spec.containers[1].name: Duplicate value"}},
		{"a probe of two kinds", pod("{containers: [{name: c, image: any, livenessProbe: {tcpSocket: {port: 1}, exec: " +
			"{command: [a]}}}]}"), []string{"spec.containers[0].livenessProbe"}},
		{"an unknown restart policy", pod("{restartPolicy: Sometimes, containers: [{name: c, image: any}]}"),
			[]string{"spec.restartPolicy", `"Sometimes"`}},
		{"a namespace that is not there", strings.Replace(svc("{ports: [{port: 80}]}"), "wrong", "wrong, namespace: nowhere",
			1), []string{`namespaces "nowhere" not found`}},
	} {
		t.Run(c.what, func(t *testing.T) {
			h := &host{t: t, dir: h.dir, addresses: h.addresses}
			h.wantRefused(c.manifest, c.says...)
		})
	}
	if got := h.kubectl("get", "services,pods,endpoints", "-o",
		"name"); got != "service/kubernetes\nendpoints/kubernetes\n" {
		t.Errorf("something of it was stored: %s", got)
	}
	strictness(t, h)
}

func (h *host) wantRefused(manifest string, says ...string) {
	h.t.Helper()
	r := h.tryKubectl(manifest, "apply", "-f", "-")
	if r.code == 0 {
		h.t.Errorf("it is accepted: %s", r.all())
	}
	for _, piece := range says {
		if !strings.Contains(r.stderr, piece) {
			h.t.Errorf("no %q in\n%s", piece, r.stderr)
		}
	}
}

// strictness is what kubectl's --validate makes of a field that nobody knows.
func strictness(t *testing.T, h *host) {
	manifest := "{apiVersion: v1, kind: Service, metadata: {name: loose}, spec: {ports: [{port: 80}], colour: green}}"
	r := h.tryKubectl(manifest, "apply", "-f", "-", "--validate=warn")
	if r.code != 0 || !strings.Contains(r.stderr, `Warning: unknown field "spec.colour"`) {
		t.Errorf("--validate=warn: exit %d, %s", r.code, r.all())
	}
	r = h.tryKubectl(manifest, "apply", "-f", "-", "--validate=ignore")
	if r.code != 0 || strings.Contains(r.stderr, "colour") {
		t.Errorf("--validate=ignore: exit %d, %s", r.code, r.all())
	}
	r = h.tryKubectl(manifest, "apply", "-f", "-", "--server-side")
	if r.code == 0 || !strings.Contains(r.stderr, ".spec.colour: field not declared in schema") {
		t.Errorf("--server-side: exit %d, %s", r.code, r.all())
	}
}

// Which addresses a person may write into Endpoints: those that Kubernetes allows, and in loopback mode the loopback
// ones.
func TestAddressesOfEndpoints(t *testing.T) {
	t.Parallel()
	h := up(t)
	manifest := func(ip string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: Endpoints, metadata: {name: by-hand}, subsets: [{addresses: [{ip: "+
			"%q}], ports: [{port: 80}]}]}", ip)
	}
	for ip, why := range map[string]string{
		"169.254.1.1": "link-local", "fe80::1": "link-local", "224.0.0.1": "multicast", "ff02::1": "multicast",
		"0.0.0.0": "0.0.0.0", "::": "0.0.0.0", "1.2.3": "valid IP address", "localhost": "valid IP address",
		"01.2.3.4": "leading 0s", "": "valid IP address",
	} {
		t.Run("refused "+ip, func(t *testing.T) {
			h := &host{t: t, dir: h.dir, addresses: h.addresses}
			h.wantRefused(manifest(ip), "subsets[0].addresses[0].ip", why)
		})
	}
	for _, ip := range []string{"10.0.0.7", "192.0.2.1", "2001:db8::1", "127.0.0.1", "127.200.3.4", "::1"} {
		h.apply(manifest(ip))
		if got := readyAddresses(h.awaitEndpoints("by-hand", 1)); netip.MustParseAddr(got[0]) != netip.MustParseAddr(ip) {
			t.Errorf("%s is stored as %v", ip, got)
		}
	}
	h.wantRefused("{apiVersion: v1, kind: Endpoints, metadata: {name: ports}, subsets: [{addresses: [{ip: 10.0.0.1}], "+
		"ports: [{port: 0}]}]}",
		"subsets[0].ports[0].port", "between 1 and 65535")
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"up --nope", 2, "unknown flag: --nope"},
		{"up extra", 2, `unexpected argument "extra"`},
		{"up --proxy=userspace --service-cidr=10.96.0.0/16", 2, "--service-cidr 10.96.0.0/16 is not inside 127.0.0.0/8"},
		{"up --service-cidr=somewhere", 2, "want an address range such as 127.96.0.0/16"},
		{"up --service-cidr=127.77.0.3/16", 2, "want 127.77.0.0/16"},
		{"up --service-cidr=127.77.0.0/30", 2, "too small"},
		{"up --service-cidr=127.0.0.0/16", 2, "contains 127.0.0.1"},
		{"up --service-cidr=127.96.0.0/16 --pod-cidr=127.96.0.0/17", 2, "overlap"},
		{"up --proxy=iptables", 2, "want one of auto, nft, userspace, none"},
		{"up --runtime=docker", 2, "want one of process, none"},
		{"up --listen=localhost", 2, "want an IP address and a port"},
		{"up --listen=127.0.0.1:99999", 2, "want an IP address and a port"},
		{"up --node-name=A_B", 2, "--node-name"},
		{"up -f /no/such/file", 2, "/no/such/file"},
		{"up -f - -f -", 2, "one stdin"},
		{"up --listen=192.0.2.1:7443", 1, "listen tcp 192.0.2.1:7443: bind: cannot assign requested address"},
		{"up --data-dir=/dev/null/here", 1, "/dev/null"},
		{"up --run-as=no-such-user", 1, "no-such-user"},
		{"server --service-cidr=10.0.0.0/30", 2, "too small"},
		{"controller --controllers=deployments", 2, `unknown controller "deployments"`},
		{"controller", 1, "start 'viaduct server' first, or give --kubeconfig"},
		{"proxy --proxy=none", 2, "nothing to do"},
		{"agent --kubeconfig=/no/such/file", 1, "/no/such/file"},
		{"echo --listen=here", 2, "--listen"},
		{"upp", 2, `unknown command "upp" (did you mean up?)`},
	} {
		t.Run(c.args, func(t *testing.T) {
			cmd := viaductCommand(t, strings.Fields(c.args)...)
			cmd.Env = append(cmd.Env, "VIADUCT_DATA_DIR="+dir)
			r := finish(t, cmd, "")
			if r.code != c.code || !strings.Contains(r.stderr, c.says) || r.stdout != "" {
				t.Errorf("exit %d, stdout %q, stderr %q; want %d and %q", r.code, r.stdout, r.stderr, c.code, c.says)
			}
			if help := "--help' for its flags"; c.code == 2 && !strings.Contains(r.stderr, help) {
				t.Errorf("stderr does not name the help: %q", r.stderr)
			}
		})
	}
}

// A manifest that is refused at the start is told, and the rest goes on.
func TestUpWithAWrongManifest(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	cmd := viaductCommand(t, append([]string{"up", "--data-dir", h.dir, "--listen", "127.0.0.1:0", "-f", "-"},
		h.addresses.Flags()...)...)
	in, err := stdinOf(cmd, oneService("fine", "")+"---\n"+oneService("wrong",
		", sessionAffinity: Cookie")+"---\n"+oneService("fine-too", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer in()
	r := startProcess(t, cmd)
	r.out.await(t, "viaduct: applying:", r.ended)
	wantText(t, "up", r.out.text(), "service/fine created", "service/fine-too created", "wrong", "spec.sessionAffinity")
	h.stop(r)
}
