package test

import (
	"strings"
	"testing"
)

// What `kubectl get -o wide` says of each kind in upstream Kubernetes v1.36: its headers, set apart by three spaces as
// kubectl does at least.
var upstreamColumns = map[string]string{
	"pods":            "NAME|READY|STATUS|RESTARTS|AGE|IP|NODE|NOMINATED NODE|READINESS GATES",
	"services":        "NAME|TYPE|CLUSTER-IP|EXTERNAL-IP|PORT(S)|AGE|SELECTOR",
	"endpoints":       "NAME|ENDPOINTS|AGE",
	"endpointslices":  "NAME|ADDRESSTYPE|PORTS|ENDPOINTS|AGE",
	"nodes":           "NAME|STATUS|ROLES|AGE|VERSION|INTERNAL-IP|EXTERNAL-IP|OS-IMAGE|KERNEL-VERSION|CONTAINER-RUNTIME",
	"namespaces":      "NAME|STATUS|AGE",
	"configmaps":      "NAME|DATA|AGE",
	"secrets":         "NAME|TYPE|DATA|AGE",
	"serviceaccounts": "NAME|SECRETS|AGE",
	"events":          "LAST SEEN|TYPE|REASON|OBJECT|SUBOBJECT|SOURCE|MESSAGE|FIRST SEEN|COUNT|NAME",
	"leases":          "NAME|HOLDER|AGE",
}

func columns(t *testing.T, h *host) {
	h.apply(oneService("shown", ", selector: {app: shown}") + "---\n" + echoPod("shown"))
	h.kubectl("create", "configmap", "shown", "--from-literal=a=b")
	h.kubectl("create", "secret", "generic", "shown", "--from-literal=a=b")
	h.kubectl("create", "serviceaccount", "shown")
	h.waitFor("--for=condition=Ready", "pod", "shown")
	h.awaitEndpoints("shown", 1)
	pod := h.awaitPod("shown", podReady)
	for kind, want := range upstreamColumns {
		args := []string{"get", kind, "-o", "wide"}
		if kind == "leases" {
			args = append(args, "-n", "kube-node-lease")
		}
		header, _, _ := strings.Cut(h.kubectl(args...), "\n")
		if got := strings.Join(cells(header), "|"); got != want {
			t.Errorf("%s: columns %s, want %s", kind, got, want)
		}
	}
	for kind, want := range map[string]string{
		"pods":       "shown|1/1|Running|0|AGE|" + pod.Status.PodIP + "|" + nodeName + "|<none>|<none>",
		"services":   "shown|ClusterIP|" + h.service("shown").Spec.ClusterIP + "|<none>|80/TCP|AGE|app=shown",
		"endpoints":  "shown|" + pod.Status.PodIP + ":80|AGE",
		"configmaps": "shown|1|AGE",
		"secrets":    "shown|Opaque|1|AGE",
	} {
		row := cells(strings.TrimSpace(h.kubectl("get", kind, "shown", "-o", "wide", "--no-headers")))
		for i, name := range strings.Split(upstreamColumns[kind], "|") {
			if name == "AGE" && i < len(row) {
				row[i] = "AGE"
			}
		}
		if got := strings.Join(row, "|"); got != want {
			t.Errorf("%s: row %s, want %s", kind, got, want)
		}
	}
}

// cells splits a line of a table.
func cells(line string) []string {
	var all []string
	for _, cell := range strings.Split(line, "  ") {
		if cell = strings.TrimSpace(cell); cell != "" {
			all = append(all, cell)
		}
	}
	return all
}

func describe(t *testing.T, h *host) {
	h.apply(echoPod("described") + oneService("described", ", selector: {app: described}"))
	h.waitFor("--for=condition=Ready", "pod", "described")
	ip := h.kubectl("get", "pod", "described", "-o", "jsonpath={.status.podIP}")
	h.awaitEndpoints("described", 1)
	wantText(t, "describe service", h.kubectl("describe", "service", "described"),
		"Selector:                 app=described", "Endpoints:                "+ip+":80", "Session Affinity:         None")
	wantText(t, "describe pod", h.kubectl("describe", "pod", "described"), "Node:             "+nodeName+"/127.0.0.1",
		"Successfully assigned default/described to "+nodeName,
		"Started container echo", "Readiness:      http-get", "Status:           Running", "Service Account:  default")
	wantText(t, "describe endpoints", h.kubectl("describe", "endpoints", "described"), "Addresses:          "+ip)
	wantText(t, "describe endpointslice", h.kubectl("describe", "endpointslice", "-l",
		"kubernetes.io/service-name=described"), "Pod/described", "Ready:    true")
	wantText(t, "describe node", h.kubectl("describe", "node", nodeName), "PodCIDR:", "AgentReady",
		"HolderIdentity:  "+nodeName)
}
