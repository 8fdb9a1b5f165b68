package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// echoPod is a Pod that answers with its own name and tells its Service variables at /env.
func echoPod(name string, spec ...string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: %[1]s}}
spec:
  containers:
    - name: echo
      image: viaduct
      command: [viaduct, echo]
      env: [{name: POD_NAME, value: %[1]s}, {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]
      readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
  %s
---
`, name, strings.Join(spec, "\n  "))
}

// podVariables asks a Pod for the variables about Services it was started with.
func (h *host) podVariables(name string) []string {
	h.t.Helper()
	h.waitFor("--for=condition=Ready", "pod", name)
	ip := h.kubectl("get", "pod", name, "-o", "jsonpath={.status.podIP}")
	body, err := fetch("http://" + ip + ":8080/env")
	if err != nil {
		h.t.Fatal(err)
	}
	vars := strings.Split(strings.TrimSpace(body), "\n")
	slices.Sort(vars)
	return vars
}

func TestEnvironmentOfContainers(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(echoPod("before"))
	h.waitFor("--for=condition=Ready", "pod", "before")
	h.apply(`
apiVersion: v1
kind: Service
metadata: {name: my-db}
spec:
  selector: {app: before}
  ports: [{name: sql, port: 5432, targetPort: 8080}, {name: stat-s, port: 9000, protocol: UDP}]
---
{apiVersion: v1, kind: Service, metadata: {name: headless}, spec: {clusterIP: None, ports: [{port: 1}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: elsewhere, namespace: kube-public}, spec: {ports: [{port: 1}]}}
`)
	h.apply(echoPod("after") + echoPod("unlinked", "enableServiceLinks: false"))

	kubernetes := serviceVariables("KUBERNETES", h.service("kubernetes").Spec.ClusterIP, "443/tcp/HTTPS")
	database := serviceVariables("MY_DB", h.service("my-db").Spec.ClusterIP, "5432/tcp/SQL", "9000/udp/STAT_S")
	both := slices.Concat(kubernetes, database)
	slices.Sort(both)
	for name, want := range map[string][]string{"before": kubernetes, "after": both, "unlinked": kubernetes} {
		if got := h.podVariables(name); !slices.Equal(got, want) {
			t.Errorf("%s has\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// serviceVariables spells the variables of one Service whose ports are given as "NUMBER/PROTOCOL/NAME", all named,
// sorted.
func serviceVariables(name, ip string, ports ...string) []string {
	var all []string
	for i, port := range ports {
		part := strings.Split(port, "/")
		number, proto := part[0], part[1]
		link := name + "_PORT_" + number + "_" + strings.ToUpper(proto)
		url := proto + "://" + ip + ":" + number
		all = append(all, name+"_SERVICE_PORT_"+part[2]+"="+number,
			link+"="+url, link+"_PROTO="+proto, link+"_PORT="+number, link+"_ADDR="+ip)
		if i == 0 {
			all = append(all, name+"_SERVICE_HOST="+ip, name+"_SERVICE_PORT="+number, name+"_PORT="+url)
		}
	}
	slices.Sort(all)
	return all
}

// examples/env.yaml says in its comments what becomes of each variable.
func TestEnvironmentExample(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.kubectl("apply", "-f", "../examples/quickstart/service.yaml")
	h.kubectl("apply", "-f", "../examples/env.yaml")
	h.waitFor("--for=jsonpath={.status.phase}=Succeeded", "pod", "environment", "no-links")
	ip := h.kubectl("get", "pod", "environment", "-o", "jsonpath={.status.podIP}")
	got := h.logOf("environment", "print")
	for _, want := range []string{
		"LOG_LEVEL=debug", "greeting=good morning", "DB_password=not-a-real-one", "PLAIN=as it stands", "POD_IP=" + ip,
		"GREETING=good morning", "PASSWORD=not-a-real-one", "URL=http://" + ip + ":8080/?level=debug", "LITERAL=$(POD_IP)",
		"HELLO_SERVICE_HOST=" + h.service("hello").Spec.ClusterIP, "HELLO_SERVICE_PORT_HTTP=8080",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no line %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
	for _, line := range got {
		if strings.HasPrefix(line, "MAYBE=") {
			t.Errorf("%q: the optional key is not there, so the variable should not be", line)
		}
	}
	if !slices.IsSorted(got) {
		t.Error("the container runs `env | sort`, but its log is not sorted")
	}
	for _, line := range h.logOf("no-links", "print") {
		if strings.HasPrefix(line, "HELLO_") {
			t.Errorf("no-links was told of a Service: %s", line)
		}
	}
}

// logOf is what the first run of a container printed, in lines.
func (h *host) logOf(pod, container string) []string {
	h.t.Helper()
	uid := h.kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
	raw, err := os.ReadFile(filepath.Join(h.dir, "pods", uid, container, "0.log"))
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}
