package test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// What kubectl shows and does beyond its verbs for single objects, against the API alone.
func TestKubectlAndTheAPI(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	server := h.startServer()
	t.Cleanup(func() { h.stop(server) })
	for name, test := range map[string]func(*testing.T, *host){
		"api-resources": apiResources, "explain everything": explainEverything, "short names and categories": shortNames,
		"dry runs": dryRuns, "collections": collections, "generated names": generatedNames, "ownership": ownership,
		"status":          statusSubresource,
		"field selectors": fieldSelectors, "sorted": sorted, "raw": raw, "columns": columnsOfEmptyLists, "diff": diffs,
		"hostile manifests": hostileManifests,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, &host{t: t, dir: h.dir, addresses: h.addresses})
		})
	}
}

// What `kubectl api-resources` says of each kind in upstream Kubernetes v1.36: short names, group and version, whether
// it is in a namespace, kind, verbs and categories.
var upstreamResources = map[string]string{
	"configmaps":      "cm v1 true ConfigMap create,delete,deletecollection,get,list,patch,update,watch",
	"endpoints":       "ep v1 true Endpoints create,delete,deletecollection,get,list,patch,update,watch",
	"events":          "ev v1 true Event create,delete,deletecollection,get,list,patch,update,watch",
	"nodes":           "no v1 false Node create,delete,deletecollection,get,list,patch,update,watch",
	"pods":            "po v1 true Pod create,delete,deletecollection,get,list,patch,update,watch all",
	"secrets":         "v1 true Secret create,delete,deletecollection,get,list,patch,update,watch",
	"serviceaccounts": "sa v1 true ServiceAccount create,delete,deletecollection,get,list,patch,update,watch",
	"services":        "svc v1 true Service create,delete,deletecollection,get,list,patch,update,watch all",
	"leases":          "coordination.k8s.io/v1 true Lease create,delete,deletecollection,get,list,patch,update,watch",
	"endpointslices":  "discovery.k8s.io/v1 true EndpointSlice create,delete,deletecollection,get,list,patch,update,watch",
	"ipaddresses":     "ip networking.k8s.io/v1 false IPAddress create,delete,deletecollection,get,list,patch,update,watch",
	"servicecidrs":    "networking.k8s.io/v1 false ServiceCIDR create,delete,deletecollection,get,list,patch,update,watch",
	"roles":           "rbac.authorization.k8s.io/v1 true Role create,delete,deletecollection,get,list,patch,update,watch",
	"rolebindings":    "rbac.authorization.k8s.io/v1 true RoleBinding create,delete,deletecollection,get,list,patch,update,watch",
	"clusterroles":    "rbac.authorization.k8s.io/v1 false ClusterRole create,delete,deletecollection,get,list,patch,update,watch",

	"clusterrolebindings":       "rbac.authorization.k8s.io/v1 false ClusterRoleBinding create,delete,deletecollection,get,list,patch,update,watch",
	"selfsubjectreviews":        "authentication.k8s.io/v1 false SelfSubjectReview create",
	"tokenreviews":              "authentication.k8s.io/v1 false TokenReview create",
	"localsubjectaccessreviews": "authorization.k8s.io/v1 true LocalSubjectAccessReview create",
	"selfsubjectaccessreviews":  "authorization.k8s.io/v1 false SelfSubjectAccessReview create",
	"selfsubjectrulesreviews":   "authorization.k8s.io/v1 false SelfSubjectRulesReview create",
	"subjectaccessreviews":      "authorization.k8s.io/v1 false SubjectAccessReview create",
}

func apiResources(t *testing.T, h *host) {
	got := map[string]string{}
	for line := range strings.Lines(h.kubectl("api-resources", "-o", "wide", "--no-headers")) {
		name, rest, _ := strings.Cut(strings.Join(strings.Fields(line), " "), " ")
		got[name] = rest
	}
	for name, want := range upstreamResources {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

// resources are the names by which kubectl knows all that is served.
func (h *host) resources(flags ...string) []string {
	h.t.Helper()
	return strings.Fields(h.kubectl(append([]string{"api-resources", "-o", "name"}, flags...)...))
}

func explainEverything(t *testing.T, h *host) {
	all := h.resources()
	if len(all) < len(upstreamResources) {
		t.Errorf("only %q is served", all)
	}
	for _, resource := range all {
		text := h.kubectl("explain", resource, "--recursive")
		if !strings.Contains(text, "\nDESCRIPTION:\n") || !strings.Contains(text, "apiVersion\t<string>") ||
			strings.Contains(text, "<empty>") {
			t.Errorf("%s is not explained:\n%s", resource, text)
		}
	}
}

func shortNames(t *testing.T, h *host) {
	h.apply("{apiVersion: v1, kind: Namespace, metadata: {name: short}}")
	h.apply(oneService("short", ""), "-n", "short")
	for _, word := range []string{"svc", "service", "services", "services.v1.", "all"} {
		if got := h.kubectl("get", word, "-n", "short", "-o", "name"); got != "service/short\n" {
			t.Errorf("get %s gives %q", word, got)
		}
	}
	for _, word := range []string{"po", "ep", "cm", "no", "ns", "sa", "ev", "ip", "endpointslices.discovery.k8s.io",
		"lease", "role", "secret"} {
		if r := h.tryKubectl("", "get", word); r.code != 0 {
			t.Errorf("get %s: %s", word, r.all())
		}
	}
}

// everything spells what is stored in a namespace, with versions: what a dry run must not change.
func (h *host) everything(namespace string) string {
	h.t.Helper()
	return h.kubectl("get", "services,configmaps,pods", "-n", namespace, "-o",
		`jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
}

func dryRuns(t *testing.T, h *host) {
	h.apply("{apiVersion: v1, kind: Namespace, metadata: {name: dry}}")
	h.apply(oneService("there", ""), "-n", "dry")
	before := h.everything("dry")
	for _, run := range []struct {
		stdin string
		args  []string
		says  string
	}{
		{oneService("new", ""), []string{"create", "-f", "-"}, "service/new created (server dry run)"},
		{oneService("new", ""), []string{"apply", "-f", "-"}, "service/new created (server dry run)"},
		{oneService("new", ""), []string{"apply", "--server-side", "-f", "-"},
			"service/new serverside-applied (server dry run)"},
		{oneService("there", ", sessionAffinity: ClientIP"), []string{"apply", "-f", "-"},
			"service/there configured (server dry run)"},
		{oneService("there", ", sessionAffinity: ClientIP"), []string{"replace", "-f", "-"},
			"service/there replaced (server dry run)"},
		{"", []string{"patch", "service", "there", "-p", `{"spec":{"type":"NodePort"}}`}, "service/there patched"},
		{"", []string{"label", "service", "there", "a=b"}, "service/there labeled (server dry run)"},
		{"", []string{"delete", "service", "there"}, `service "there" deleted from dry namespace (server dry run)`},
		{"", []string{"delete", "services", "--all"}, `service "there" deleted from dry namespace (server dry run)`},
	} {
		r := h.tryKubectl(run.stdin, append(run.args, "--dry-run=server", "-n", "dry")...)
		if r.code != 0 || !strings.Contains(r.stdout, run.says) {
			t.Errorf("%v: exit %d, %s, want %q", run.args, r.code, r.all(), run.says)
		}
	}
	if after := h.everything("dry"); after != before {
		t.Errorf("there was\n%s\nand now\n%s", before, after)
	}
}

func collections(t *testing.T, h *host) {
	h.apply("{apiVersion: v1, kind: Namespace, metadata: {name: many}}")
	for _, name := range []string{"a", "b", "c", "d"} {
		h.apply(fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, labels: {odd: '%t'}}}", name,
			name == "a" || name == "c"), "-n", "many")
	}
	left := func() string {
		return h.kubectl("get", "configmaps", "-n", "many", "-o", "name", "--field-selector",
			"metadata.name!=kube-root-ca.crt")
	}
	h.kubectl("delete", "configmaps", "-n", "many", "-l", "odd=true")
	if got := left(); got != "configmap/b\nconfigmap/d\n" {
		t.Errorf("after a deletion by label: %s", got)
	}
	h.kubectl("delete", "configmaps", "-n", "many", "--field-selector", "metadata.name=b")
	if got := left(); got != "configmap/d\n" {
		t.Errorf("after a deletion by field: %s", got)
	}
	h.kubectl("delete", "configmaps", "-n", "many", "--all")
	if got := left(); got != "" {
		t.Errorf("after the deletion of all: %s", got)
	}
}

func generatedNames(t *testing.T, h *host) {
	manifest := "{apiVersion: v1, kind: ConfigMap, metadata: {generateName: made-, labels: {made: here}}}"
	for range 2 {
		r := h.tryKubectl(manifest, "create", "-f", "-")
		if !regexp.MustCompile(`^configmap/made-[bcdfghjklmnpqrstvwxz2456789]{5} created\n$`).MatchString(r.stdout) {
			t.Errorf("create says %s", r.all())
		}
	}
	if got := strings.Fields(h.kubectl("get", "configmaps", "-l", "made=here", "-o", "name")); len(got) != 2 ||
		got[0] == got[1] {
		t.Errorf("there are %q", got)
	}
	if r := h.tryKubectl(manifest, "apply", "-f", "-"); r.code == 0 || !strings.Contains(r.stderr,
		"cannot use generate name with apply") {
		t.Errorf("apply: exit %d, %s", r.code, r.all())
	}
}

// ownership is what server-side apply keeps of who wants what.
func ownership(t *testing.T, h *host) {
	port := func(name string, number int) string {
		return fmt.Sprintf("{apiVersion: v1, kind: Service, metadata: {name: shared}, spec: {ports: [{name: %s, port: %d}]}}",
			name, number)
	}
	apply := func(manager, manifest string) { h.apply(manifest, "--server-side", "--field-manager", manager) }
	apply("web", port("http", 80))
	apply("ops", port("metrics", 9090)) // one list, by key: each has its own port
	get := func(path string) string { return h.kubectl("get", "service", "shared", "-o", "jsonpath="+path) }
	if got := get("{.spec.ports[*].name}"); got != "http metrics" {
		t.Errorf("ports %s", got)
	}
	apply("ops", "{apiVersion: v1, kind: Service, metadata: {name: shared}}")
	if got := get("{.spec.ports[*].name}"); got != "http" {
		t.Errorf("ports %s, after one is no longer applied", got)
	}
	apply("ops", port("http", 80)) // both want it
	apply("web", "{apiVersion: v1, kind: Service, metadata: {name: shared}}")
	if got := get("{.spec.ports[*].name}"); got != "http" {
		t.Errorf("ports %s: one of two owners gave it up", got)
	}
	h.kubectl("label", "service", "shared", "tier=front") // kubectl's own manager, by update
	r := h.tryKubectl("{apiVersion: v1, kind: Service, metadata: {name: shared, labels: {tier: back}}}", "apply",
		"--server-side", "--field-manager=web", "-f", "-")
	wantText(t, "the conflict", r.stderr, `conflict with "kubectl-label"`, ".metadata.labels.tier")
	if r.code == 0 || get("{.metadata.labels.tier}") != "front" {
		t.Errorf("a label was taken: exit %d", r.code)
	}
}

func statusSubresource(t *testing.T, h *host) {
	h.apply(oneService("balanced", ", type: LoadBalancer"))
	ingress := func(subresource ...string) string {
		h.kubectl(append([]string{"patch", "service", "balanced", "--type=merge", "-p",
			`{"spec":{"sessionAffinity":"ClientIP"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}`},
			subresource...)...)
		return h.kubectl("get", "service", "balanced", "-o",
			"jsonpath={.spec.sessionAffinity} {.status.loadBalancer.ingress[0].ip}")
	}
	if got := ingress("--subresource=status"); got != "None 192.0.2.1" {
		t.Errorf("after a patch of the status: %s", got)
	}
	owners := h.kubectl("get", "service", "balanced", "--show-managed-fields", "-o",
		`jsonpath={range .metadata.managedFields[*]}{.manager}/{.subresource} {end}`)
	if want := "kubectl-client-side-apply/ kubectl-patch/status "; owners != want {
		t.Errorf("owners are %s, want %s", owners, want)
	}
	h.kubectl("patch", "service", "balanced", "--subresource=status", "--type=merge", "-p",
		`{"status":{"loadBalancer":null}}`)
	if got := ingress(); got != "ClientIP " {
		t.Errorf("after a patch of all else: %s", got)
	}
}
