package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What upstream Kubernetes v1.36 can select by, beside metadata.name and metadata.namespace.
var upstreamFields = map[string][]string{
	"pods": {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
		"status.phase", "status.podIP",
		"status.nominatedNodeName"},
	"services": {"spec.clusterIP", "spec.type"}, "nodes": {"spec.unschedulable"}, "namespaces": {"status.phase"},
	"secrets": {"type"},
	"events": {"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
		"involvedObject.apiVersion",
		"involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type"},
	"ipaddresses": {}, "configmaps": {}, "endpoints": {}, "serviceaccounts": {}, "endpointslices": {}, "leases": {},
	"roles": {}, "servicecidrs": {},
}

func fieldSelectors(t *testing.T, h *host) {
	for resource, fields := range upstreamFields {
		selector := "metadata.name=none"
		for _, field := range fields {
			selector += "," + field + "=none"
		}
		if r := h.tryKubectl("", "get", resource, "--field-selector", selector); r.code != 0 || !strings.Contains(r.stderr,
			"No resources found") {
			t.Errorf("%s by %s: exit %d, %s", resource, selector, r.code, r.all())
		}
		r := h.tryKubectl("", "get", resource, "--field-selector", "spec.nonsense=1")
		if says := "field label not supported: spec.nonsense"; r.code == 0 || !strings.Contains(r.stderr, "BadRequest") ||
			!strings.Contains(r.stderr, says) &&
				!strings.Contains(r.stderr, `"spec.nonsense" is not a known field selector`) {
			t.Errorf("%s: exit %d, %s, want BadRequest and %q", resource, r.code, r.all(), says)
		}
	}
}

func sorted(t *testing.T, h *host) {
	for name, size := range map[string]string{"big": "3", "small": "1", "middle": "2"} {
		h.apply(fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: sorted-%s, labels: {sorted: here}}, data: "+
			"{size: '%s'}}", name, size))
	}
	got := h.kubectl("get", "configmaps", "-l", "sorted=here", "--sort-by={.data.size}", "-o", "name")
	if want := "configmap/sorted-small\nconfigmap/sorted-middle\nconfigmap/sorted-big\n"; got != want {
		t.Errorf("sorted: %s", got)
	}
	if got := h.kubectl("get", "configmaps", "-l", "sorted=here", "--chunk-size=1", "-o", "name"); strings.Count(got,
		"\n") != 3 {
		t.Errorf("in chunks: %s", got)
	}
}

func raw(t *testing.T, h *host) {
	for path, want := range map[string]string{
		"/healthz": "ok", "/livez": "ok", "/readyz?verbose": "readyz check passed", "/metrics": "apiserver_request_total{",
		"/version": `"minor": "36"`,
		"/api":     `"kind":"APIVersions"`, "/apis": `"kind":"APIGroupList"`, "/openapi/v2": `"swagger":"2.0"`,
		"/openapi/v3": `"api/v1"`,
	} {
		wantText(t, path, h.kubectl("get", "--raw", path), want)
	}
	var version struct {
		ServerVersion struct{ Major, Minor, GitVersion string }
	}
	if err := json.Unmarshal([]byte(h.kubectl("version", "-o", "json")), &version); err != nil ||
		version.ServerVersion.Minor != "36" {
		t.Errorf("version: %+v, %v", version, err)
	}
	wantText(t, "get endpoints", h.tryKubectl("", "get", "endpoints").stderr, "Warning: v1 Endpoints is deprecated in "+
		"v1.33+; use discovery.k8s.io/v1 EndpointSlice")
	wantText(t, "cluster-info", h.kubectl("cluster-info"), "control plane")
}

// The columns that columns_test.go does not see, of kinds that a server has some of, or is given here.
func columnsOfEmptyLists(t *testing.T, h *host) {
	h.kubectl("create", "role", "shown", "--verb=get", "--resource=pods")
	h.kubectl("create", "rolebinding", "shown", "--role=shown", "--user=somebody")
	h.kubectl("create", "clusterrole", "shown", "--verb=get", "--resource=pods")
	h.kubectl("create", "clusterrolebinding", "shown", "--clusterrole=shown", "--user=somebody")
	for kind, want := range map[string]string{
		"ipaddresses": "NAME|PARENTREF", "servicecidrs": "NAME|CIDRS|AGE", "roles": "NAME|CREATED AT",
		"clusterroles":        "NAME|CREATED AT",
		"rolebindings":        "NAME|ROLE|AGE|USERS|GROUPS|SERVICEACCOUNTS",
		"clusterrolebindings": "NAME|ROLE|AGE|USERS|GROUPS|SERVICEACCOUNTS",
	} {
		header, _, _ := strings.Cut(h.kubectl("get", kind, "-o", "wide"), "\n")
		if got := strings.Join(cells(header), "|"); got != want {
			t.Errorf("%s: columns %s, want %s", kind, got, want)
		}
	}
}

func diffs(t *testing.T, h *host) {
	h.apply(oneService("compared", ""))
	for _, d := range []struct {
		manifest string
		flags    []string
		code     int
		says     string
	}{
		{oneService("compared", ""), nil, 0, ""},
		{oneService("compared", ", sessionAffinity: ClientIP"), nil, 1, "+  sessionAffinity: ClientIP"},
		{oneService("compared", ", sessionAffinity: ClientIP"), []string{"--server-side", "--force-conflicts"}, 1,
			"+  sessionAffinity: ClientIP"},
		{oneService("compared-new", ""), nil, 1, "+  name: compared-new"},
		{oneService("compared", ", sessionAffinity: Cookie"), nil, 2, `Unsupported value: "Cookie"`},
	} {
		r := h.tryKubectl(d.manifest, append([]string{"diff", "-f", "-"}, d.flags...)...)
		if r.code != d.code && !(d.code == 2 && r.code > 1) || !strings.Contains(r.all(), d.says) {
			t.Errorf("diff %v exits %d, want %d and %q: %s", d.flags, r.code, d.code, d.says, r.all())
		}
	}
}

// What is hostile about a manifest is told by kubectl or by the server, and soon; the server goes on.
func hostileManifests(t *testing.T, h *host) {
	laughs := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hostile}\na0: &a0 [lol, lol, lol, lol, lol, lol, lol, " +
		"lol, lol, lol]\n"
	for i := 1; i < 10; i++ {
		laughs += fmt.Sprintf("a%d: &a%[1]d [%s]\n", i, strings.Join(slices.Repeat([]string{fmt.Sprintf("*a%d", i-1)}, 10),
			", "))
	}
	for name, m := range map[string]struct{ manifest, says string }{
		"a billion laughs": {laughs, "excessive aliasing"},
		"deep nesting": {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hostile}\ndata: " + strings.Repeat("[",
			20000) + strings.Repeat("]", 20000), "depth"},
		"a huge name": {"{apiVersion: v1, kind: ConfigMap, metadata: {name: " + strings.Repeat("a", 2<<20) + "}}",
			"no more than 253"},
		"too much": {"{apiVersion: v1, kind: ConfigMap, metadata: {name: hostile}, data: {a: " + strings.Repeat("x",
			4<<20) + "}}", "Too"},
		"a NUL":       {"{apiVersion: v1, kind: ConfigMap, metadata: {name: \"a\\0b\"}}", "invalid"},
		"wrong types": {"{apiVersion: v1, kind: ConfigMap, metadata: [hostile], data: 7}", "metadata"},
	} {
		file := filepath.Join(t.TempDir(), "hostile.yaml")
		if err := os.WriteFile(file, []byte(m.manifest), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := h.tryKubectl("", "create", "-f", file); r.code == 0 || !strings.Contains(r.stderr, m.says) {
			t.Errorf("%s: exit %d, want %q: %.500s", name, r.code, m.says, r.all())
		}
	}
	if r := h.tryKubectl("", "get", "configmap", "hostile"); !strings.Contains(r.stderr, "NotFound") {
		t.Errorf("something of it was stored: %s", r.all())
	}
}
