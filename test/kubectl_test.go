package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// kubectl's own verbs, against one server. Each test works on objects of its own.
func TestKubectl(t *testing.T) {
	t.Parallel()
	h := up(t)
	for name, test := range map[string]func(*testing.T, *host){
		"apply client side": applyClientSide, "apply server side": applyServerSide, "explain": explain, "edit": edit,
		"patch":     patch,
		"selectors": selectors, "delete and wait": deleteAndWait, "watch": watchGet, "columns": columns, "describe": describe,
		"replace, label, diff, dry run": otherVerbs, "another kubeconfig": otherKubeconfig,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, &host{t: t, dir: h.dir, addresses: h.addresses})
		})
	}
}

func wantText(t testing.TB, what, text string, pieces ...string) {
	t.Helper()
	for _, piece := range pieces {
		if !strings.Contains(text, piece) {
			t.Errorf("%s: no %q in\n%s", what, piece, text)
		}
	}
}

func oneService(name, more string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Service, metadata: {name: %s, labels: {test: %[1]s}}, spec: {ports: "+
		"[{name: http, port: 80}]%s}}\n", name, more)
}

func applyClientSide(t *testing.T, h *host) {
	for _, step := range []struct{ more, want string }{
		{"", "created"}, {"", "unchanged"}, {", sessionAffinity: ClientIP", "configured"}, {"", "configured"},
	} {
		if got, want := h.apply(oneService("client-side", step.more)), "service/client-side "+step.want+"\n"; got != want {
			t.Errorf("apply %q says %q, want %q", step.more, got, want)
		}
	}
	h.apply(oneService("client-side", ", selector: {a: b}"))
	h.apply(oneService("client-side", "")) // what the file no longer says is taken away
	if got := h.kubectl("get", "service", "client-side", "-o", "jsonpath={.spec.selector}"); got != "" {
		t.Errorf("selector %q is still there", got)
	}
}

func applyServerSide(t *testing.T, h *host) {
	manifest := oneService("server-side", "")
	if got := h.apply(manifest, "--server-side",
		"--field-manager=one"); got != "service/server-side serverside-applied\n" {
		t.Errorf("apply says %q", got)
	}
	target := func(port string) string {
		return strings.Replace(manifest, "port: 80}", "port: 80, targetPort: "+port+"}", 1)
	}
	h.apply(target("8080"), "--server-side", "--field-manager=two") // the first said nothing of it
	r := h.tryKubectl(target("7070"), "apply", "--server-side", "--field-manager=three", "-f", "-")
	if r.code == 0 {
		t.Fatalf("a third manager takes a field that is another's:\n%s", r.all())
	}
	wantText(t, "the conflict", r.stderr, "conflict", `"two"`, "targetPort")
	h.apply(target("7070"), "--server-side", "--field-manager=three", "--force-conflicts")
	owners := h.kubectl("get", "service", "server-side", "-o", "jsonpath={.spec.ports[0].targetPort} "+
		"{.metadata.managedFields[*].manager}", "--show-managed-fields")
	wantText(t, "owners", owners, "7070 ", "one", "three")
}

func explain(t *testing.T, h *host) {
	wantText(t, "explain", h.kubectl("explain", "service.spec.ports"), "KIND:       Service", "nodePort", "targetPort",
		"-required-")
	wantText(t, "explain", h.kubectl("explain", "endpoints.subsets.addresses.ip"), "FIELD: ip <string>", "link-local")
	wantText(t, "explain", h.kubectl("explain", "endpointslices", "--api-version=discovery.k8s.io/v1"),
		"GROUP:      discovery.k8s.io", "addressType")
	wantText(t, "explain", h.kubectl("explain", "pod.spec", "--recursive"), "enableServiceLinks", "readinessProbe")
	if r := h.tryKubectl("", "explain", "service.spec.nonsense"); r.code == 0 || !strings.Contains(r.stderr, "nonsense") {
		t.Errorf("explain of a field that is not there exits %d: %s", r.code, r.all())
	}
}

func edit(t *testing.T, h *host) {
	h.apply(oneService("edited", ""))
	editor, scratch := filepath.Join(t.TempDir(), "editor"), t.TempDir()
	if err := os.WriteFile(editor, []byte("#!/bin/sh\nsed -i \"$CHANGE\" \"$1\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	try := func(change string) result {
		cmd := viaductCommand(t, "kubectl", "--data-dir", h.dir, "edit", "service", "edited")
		cmd.Env = append(cmd.Env, "EDITOR="+editor, "CHANGE="+change, "TMPDIR="+scratch)
		return finish(t, cmd, "")
	}
	if r := try("s/port: 80$/port: 8181/"); r.code != 0 || !strings.Contains(r.stdout, "service/edited edited") {
		t.Errorf("edit exits %d: %s", r.code, r.all())
	}
	if got := h.kubectl("get", "service", "edited", "-o", "jsonpath={.spec.ports[0].port}"); got != "8181" {
		t.Errorf("port %s after the edit", got)
	}
	if r := try("s/nothing to see/here/"); r.code != 0 || !strings.Contains(r.all(), "no changes made") {
		t.Errorf("an edit without a change exits %d: %s", r.code, r.all())
	}
	if r := try("s/port: 8181$/port: 99999/"); r.code == 0 || !strings.Contains(r.all(), `services "edited" is invalid`) {
		t.Errorf("a wrong edit exits %d: %s", r.code, r.all())
	}
	kept := "" // kubectl keeps what was refused, and why
	copies, _ := filepath.Glob(filepath.Join(scratch, "*.yaml"))
	for _, name := range copies {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		kept += string(text)
	}
	wantText(t, "the copy", kept, "spec.ports[0].port: Invalid value: 99999")
}

func patch(t *testing.T, h *host) {
	h.apply(oneService("patched", ""))
	for _, p := range []struct{ kind, patch, path, want string }{
		{"strategic", `{"spec":{"ports":[{"port":81,"name":"more"}]}}`, "{.spec.ports[*].port}", "81 80"},
		{"merge", `{"spec":{"ports":[{"port":82}]}}`, "{.spec.ports[*].port}", "82"},
		{"json", `[{"op":"replace","path":"/spec/ports/0/port","value":83}]`, "{.spec.ports[*].port}", "83"},
		{"merge", `{"metadata":{"labels":{"test":null,"new":"yes"}}}`, "{.metadata.labels}", `{"new":"yes"}`},
	} {
		h.kubectl("patch", "service", "patched", "--type="+p.kind, "-p", p.patch)
		if got := h.kubectl("get", "service", "patched", "-o", "jsonpath="+p.path); got != p.want {
			t.Errorf("after the %s patch %s: %s, want %s", p.kind, p.patch, got, p.want)
		}
	}
	r := h.tryKubectl("", "patch", "service", "patched", "-p",
		`{"spec":{"clusterIP":"`+h.addresses.Service(77).String()+`"}}`)
	if r.code == 0 || !strings.Contains(r.stderr, "spec.clusterIPs[0]") || !strings.Contains(r.stderr,
		"may not change once set") {
		t.Errorf("another clusterIP: exit %d, %s", r.code, r.all())
	}
}

func selectors(t *testing.T, h *host) {
	for _, name := range []string{"selected-a", "selected-b"} {
		h.kubectl("create", "configmap", name)
		h.kubectl("label", "configmap", name, "group=selected", "name="+name)
	}
	for _, s := range []struct{ flag, want string }{
		{"-l=group=selected", "configmap/selected-a\nconfigmap/selected-b\n"},
		{"-l=group=selected,name!=selected-a", "configmap/selected-b\n"},
		{"-l=name in (selected-a,other)", "configmap/selected-a\n"},
		{"-l=group=selected,!name", ""},
		{"--field-selector=metadata.name=selected-b", "configmap/selected-b\n"},
	} {
		if got := h.kubectl("get", "configmaps", "-o", "name", s.flag); got != s.want {
			t.Errorf("%s gives %q, want %q", s.flag, got, s.want)
		}
	}
	for resource, selector := range map[string]string{
		"pods":     "spec.nodeName=" + nodeName + ",status.phase=Running,spec.restartPolicy=Always",
		"services": "spec.clusterIP!=None,spec.type=ClusterIP",
		"events":   "involvedObject.kind=Pod,reason=Started,type=Normal", "nodes": "spec.unschedulable=false",
		"namespaces": "status.phase=Active",
		"secrets":    "type=Opaque",
	} {
		h.kubectl("get", resource, "--field-selector", selector)
	}
	if r := h.tryKubectl("", "get", "services", "--field-selector", "spec.nonsense=1"); r.code == 0 ||
		!strings.Contains(r.stderr, "spec.nonsense") {
		t.Errorf("a field that cannot be selected by: exit %d, %s", r.code, r.all())
	}
}

func deleteAndWait(t *testing.T, h *host) {
	h.apply(echoPod("short-lived"))
	h.waitFor("--for=condition=Ready", "pod", "short-lived")
	h.waitFor("--for=jsonpath={.status.phase}=Running", "pod", "short-lived")
	uid := h.kubectl("get", "pod", "short-lived", "-o", "jsonpath={.metadata.uid}")
	wantText(t, "delete", h.kubectl("delete", "pod", "short-lived"), `pod "short-lived" deleted`)
	if left := h.podProcesses(uid); len(left) > 0 {
		t.Errorf("the Pod is gone, but not %s", describeAll(left))
	}
	h.waitFor("--for=delete", "pod", "short-lived")
	if r := h.tryKubectl("", "get", "pod", "short-lived"); r.code != 1 || !strings.Contains(r.stderr,
		`Error from server (NotFound): pods "short-lived" not found`) {
		t.Errorf("get of a deleted pod exits %d: %s", r.code, r.all())
	}
	r := h.tryKubectl("", "wait", "--for=condition=Ready", "node", nodeName, "--timeout=10s")
	wantText(t, "wait", r.stdout, "node/"+nodeName+" condition met")
	h.apply(oneService("deleted", ""))
	h.kubectl("delete", "service", "-l", "test=deleted")
	if got := h.kubectl("get", "endpoints,endpointslices", "-l", "kubernetes.io/service-name=deleted", "-o",
		"name"); got != "" {
		t.Errorf("left of a deleted service: %s", got)
	}
}

func watchGet(t *testing.T, h *host) {
	w := startProcess(t, viaductCommand(t, "kubectl", "--data-dir", h.dir, "get", "services", "-l", "test=watched", "-w",
		"--output-watch-events"))
	h.apply(oneService("watched", ""))
	w.out.await(t, "ADDED", w.ended)
	h.kubectl("patch", "service", "watched", "-p",
		`{"spec":{"ports":[{"port":80,"name":"http","targetPort":1234}],"sessionAffinity":"ClientIP"}}`)
	w.out.await(t, "MODIFIED", w.ended)
	h.kubectl("delete", "service", "watched")
	w.out.await(t, "DELETED", w.ended)
	lines := strings.Split(strings.TrimSpace(w.out.text()), "\n")
	if !regexp.MustCompile(`^EVENT +NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE$`).MatchString(lines[0]) ||
		len(lines) != 4 {
		t.Errorf("want a header and three events:\n%s", w.out.text())
	}
}

func otherVerbs(t *testing.T, h *host) {
	manifest := oneService("other-verbs", "")
	if got := h.apply(manifest, "--dry-run=server"); got != "service/other-verbs created (server dry run)\n" {
		t.Errorf("dry run says %q", got)
	}
	if r := h.tryKubectl("", "get", "service", "other-verbs"); r.code == 0 {
		t.Error("a dry run stored something")
	}
	h.apply(manifest)
	if r := h.tryKubectl(manifest, "diff", "-f", "-"); r.code != 0 {
		t.Errorf("diff of what was applied exits %d:\n%s", r.code, r.all())
	}
	if r := h.tryKubectl(oneService("other-verbs", ", sessionAffinity: ClientIP"), "diff", "-f", "-"); r.code != 1 ||
		!strings.Contains(r.stdout, "+  sessionAffinity: ClientIP") {
		t.Errorf("diff of a change exits %d:\n%s", r.code, r.all())
	}
	h.kubectl("annotate", "service", "other-verbs", "why=because")
	h.kubectl("label", "service", "other-verbs", "test=again", "--overwrite")
	wantText(t, "get -o yaml", h.kubectl("get", "service", "other-verbs", "-o", "yaml"), "why: because", "test: again",
		"clusterIP: "+h.service("other-verbs").Spec.ClusterIP)
	if r := h.tryKubectl(manifest, "create", "-f", "-"); r.code == 0 || !strings.Contains(r.stderr, "AlreadyExists") {
		t.Errorf("creating it again exits %d: %s", r.code, r.all())
	}
	wantText(t, "replace", h.tryKubectl(manifest, "replace", "-f", "-").stdout, "service/other-verbs replaced")
	wantText(t, "api-resources", h.kubectl("api-resources"), "endpointslices", "discovery.k8s.io/v1", "leases", "svc")
	wantText(t, "version", h.kubectl("version"), "Server Version: v1.36")
}

// A kubeconfig that is named wins over the data directory's.
func otherKubeconfig(t *testing.T, h *host) {
	r := runViaduct(t, "", "kubectl", "--kubeconfig", filepath.Join(h.dir, "kubeconfig"), "get", "nodes", "-o", "name")
	if r.code != 0 || r.stdout != "node/"+nodeName+"\n" {
		t.Errorf("--kubeconfig: exit %d, %s", r.code, r.all())
	}
	r = runViaduct(t, "", "kubectl", "--data-dir", t.TempDir(), "get", "nodes")
	if r.code == 0 || !strings.Contains(r.stderr, "is 'viaduct up' running") {
		t.Errorf("without a kubeconfig: exit %d, %s", r.code, r.all())
	}
}
