package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// namespacedPods are Pods that need a network of their own: two listen on one port of all addresses, one of which a
// port of the host leads to; one has the host's network; one asks its own Service.
const namespacedPods = `
apiVersion: v1
kind: Pod
metadata: {name: one, labels: {app: web}}
spec:
  hostAliases: [{ip: 192.0.2.7, hostnames: [old]}]
  containers:
    - name: web
      image: none
      command: [viaduct, echo, --listen, "[::]:8080"]
      ports: [{containerPort: 8080, hostPort: 9000}]
      readinessProbe: {exec: {command: [sh, -c, 'test "$(hostname)" = one && grep -q old /etc/hosts']}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: two, labels: {app: web}}
spec:
  containers:
    - name: web
      image: none
      command: [viaduct, echo, --listen, "[::]:8080"]
      readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: host}
spec:
  hostNetwork: true
  containers:
    - name: web
      image: none
      command: [viaduct, echo, --listen, "127.0.0.1:8081"]
      readinessProbe: {exec: {command: [sh, -c, 'test "$(hostname)" != host']}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`

const namespacedScript = `
flags="--service-cidr 10.96.0.0/16,fd00:96::/112 --pod-cidr 10.244.0.0/16,fd00:244::/64"
ready() { until viaduct kubectl wait --for=condition=Ready pod/one pod/two pod/host --timeout=20s >/dev/null 2>&1; do sleep 0.2; done; }
ask() { curl -s "$1" | head -n 1 | cut -d' ' -f1; }
viaduct up $flags -f pods.yaml & up=$!
ready
viaduct kubectl get pods -o 'jsonpath={range .items[*]}{.metadata.name} {.status.podIPs[*].ip}{"\n"}{end}'
v4=$(viaduct kubectl get service web -o 'jsonpath={.spec.clusterIPs[0]}')
v6=$(viaduct kubectl get service web -o 'jsonpath={.spec.clusterIPs[1]}')
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "v4 $(ask "http://$v4")"; echo "v6 $(ask "http://[$v6]")"; done | sort | uniq
echo "hostPort $(ask http://10.244.0.1:9000) $(ask "http://[fd00:244::1]:9000")"
echo "hostNetwork $(ask http://127.0.0.1:8081)"
before=$(viaduct kubectl get pod one -o 'jsonpath={.status.podIP}')
kill -9 $up; wait $up || true
viaduct up & up=$!
ready
until [ "$(ask http://10.244.0.1:9000)" = one ]; do sleep 0.2; done
echo "after kill -9: v4 $(ask "http://$v4" | sed 's/one\|two/somebody/')"
[ "$before" = "$(viaduct kubectl get pod one -o 'jsonpath={.status.podIP}')" ] && echo "the address is kept"
kill $up; wait $up
viaduct proxy cleanup
`

// TestNamespacedPods is `viaduct up` with networks for Pods, from its first start to its last, over a kill -9.
func TestNamespacedPods(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 || !canOwnNetwork(t) {
		t.Skip("needs root, and network namespaces of its own")
	}
	r := withFile(t, namespacedScript, "pods.yaml", namespacedPods)
	if r.code != 0 {
		t.Fatalf("the script exits %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	for _, want := range []string{"v4 one\nv4 two\nv6 one\nv6 two\n", "hostPort one one\n", "hostNetwork host\n",
		"after kill -9: v4 somebody\n", "the address is kept\n",
		"Viaduct has nothing on this host.\n", "one 10.244.", " fd00:244:"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("it does not print %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s%s", r.stdout, r.stderr)
	}
}

// withFile runs a script that finds the program viaduct, and a file beside it.
func withFile(t *testing.T, script, file, text string) result {
	t.Helper()
	place := t.TempDir()
	if err := os.WriteFile(filepath.Join(place, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return finishScript(t, place, script, filepath.Dir(viaductPath(t)))
}
