package apiserver_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strings"
	"testing"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	openapiv3 "github.com/google/gnostic-models/openapiv3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

// The Accept header decides the format of the response. Unknown formats are refused.
func TestContentNegotiation(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	c.must("POST", configMaps, named("cm-0"))
	table, partial := "application/json;as=Table;v=v1;g=meta.k8s.io",
		"application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
	for _, f := range []struct {
		name, path, accept string
		code               int
		contentType, has   string
	}{
		{"JSON", "/cm-0", "application/json", 200, "application/json", `"kind":"ConfigMap"`},
		{"anything", "/cm-0", "*/*", 200, "application/json", `"kind":"ConfigMap"`},
		{"YAML", "/cm-0", "application/yaml", 200, "application/yaml", "kind: ConfigMap"},
		{"protobuf", "/cm-0", "application/vnd.kubernetes.protobuf", 200, "application/vnd.kubernetes.protobuf", "k8s\x00"},
		{"a table of one", "/cm-0", table, 200, "application/json", `"columnDefinitions":[{"name":"Name"`},
		{"a table of all", "", table, 200, "application/json", `"kind":"PartialObjectMetadata"`},
		{"a table with nothing but cells", "?includeObject=None", table, 200, "application/json", `"object":null`},
		{"a table with whole objects", "?includeObject=Object", table, 200, "application/json", `"kind":"ConfigMap"`},
		{"metadata of one", "/cm-0", partial, 200, "application/json", `"kind":"PartialObjectMetadata"`},
		{"metadata of all", "", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", 200, "application/json",
			`"kind":"PartialObjectMetadataList"`},
		{"metadata in protobuf", "/cm-0", "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
			200, "application/vnd.kubernetes.protobuf", "k8s\x00"},
		{"the second of what is accepted", "/cm-0", "image/png, application/json", 200, "application/json", "ConfigMap"},
		{"a table, or else an object", "/cm-0", table + ",application/json", 200, "application/json", `"kind":"Table"`},
		{"nothing that is spoken here", "/cm-0", "image/png", 406, "", "NotAcceptable"},
		{"CBOR, which is off", "/cm-0", "application/cbor", 406, "", "NotAcceptable"},
		{"an object that is no table", "/cm-0", "application/json;as=Chart;v=v1;g=meta.k8s.io", 406, "", "NotAcceptable"},
	} {
		t.Run(f.name, func(t *testing.T) {
			a := c.do("GET", configMaps+f.path, "", "Accept", f.accept)
			if a.code != f.code || !strings.HasPrefix(a.header.Get("Content-Type"), f.contentType) || !bytes.Contains(a.body,
				[]byte(f.has)) {
				t.Errorf("%d %s, want %d %s and %q in\n%.400s", a.code, a.header.Get("Content-Type"), f.code, f.contentType, f.has,
					a.body)
			}
		})
	}
	unsupported := metav1.StatusReasonUnsupportedMediaType
	wantStatus(t, c.do("POST", configMaps, "x", "Content-Type", "application/cbor"), 415, unsupported,
		"the body of the request was in an unknown format")
	wantStatus(t, c.do("PATCH", configMaps+"/cm-0", "{}", "Content-Type", "application/json"), 415, unsupported,
		"Unsupported Media Type")
}

// Long responses are compressed for clients that accept gzip.
func TestGzip(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	c.must("POST", configMaps, configMap(`"data":{"long":"`+strings.Repeat("x", 200<<10)+`"}`))
	a := c.do("GET", configMaps+"/x", "", "Accept-Encoding", "gzip")
	unpacked, err := gzip.NewReader(bytes.NewReader(a.body))
	if a.header.Get("Content-Encoding") != "gzip" || err != nil {
		t.Fatalf("%d %v, %v", a.code, a.header, err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil || len(text) < 200<<10 || len(a.body) > 20<<10 {
		t.Errorf("%d bytes of %d, %v", len(a.body), len(text), err)
	}
}

// Errors for missing objects and unsupported verbs have upstream's texts.
func TestNotFound(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	notFound, notAllowed := metav1.StatusReasonNotFound, metav1.StatusReasonMethodNotAllowed
	for _, r := range []struct {
		method, path string
		code         int
		reason       metav1.StatusReason
		says         string
	}{
		{"GET", configMaps + "/none", 404, notFound, `configmaps "none" not found`},
		{"GET", "/api/v1/namespaces/nowhere", 404, notFound, `namespaces "nowhere" not found`},
		{"GET", "/api/v1/namespaces/default/gadgets", 404, notFound, "the server could not find the requested resource"},
		{"GET", configMaps + "/none/status", 404, notFound, "the server could not find the requested resource"},
		{"DELETE", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/none", 404, notFound,
			`endpointslices.discovery.k8s.io "none" not found`},
		{"PUT", configMaps, 405, notAllowed, "the server does not allow this method on the requested resource"},
		{"POST", configMaps + "/one", 405, notAllowed, "the server does not allow this method on the requested resource"},
		{"GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 405, notAllowed,
			"the server does not allow this method on the requested resource"},
	} {
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			wantStatus(t, c.do(r.method, r.path, ""), r.code, r.reason, r.says)
		})
	}
	for _, path := range []string{"/nothing", "/apis/apps/v1", "/api/v2/pods", "/logs"} {
		if a := c.do("GET", path, ""); a.code != 404 {
			t.Errorf("GET %s: %d", path, a.code)
		}
	}
	if s := c.do("GET", configMaps+"/none", "").status(); s.Details == nil || s.Details.Name != "none" ||
		s.Details.Kind != "configmaps" {
		t.Errorf("a refusal names what it is about in its details: %+v", s.Details)
	}
}

// The three forms of discovery agree.
func TestDiscovery(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	aggregated := map[string]string{}
	for _, root := range []string{"/api", "/apis"} {
		a := c.do("GET", root, "", "Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		if a.header.Get("ETag") == "" {
			t.Errorf("%s has no ETag by which clients need not read it again", root)
		}
		if again := c.do("GET", root, "", "Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
			"If-None-Match", a.header.Get("ETag")); again.code != 304 {
			t.Errorf("%s: %d for who has it already", root, again.code)
		}
		for _, group := range list(a.object(), "items") {
			for _, version := range list(group, "versions") {
				for _, r := range list(version, "resources") {
					aggregated[groupVersion(at(group, "metadata.name"), at(version, "version"))+" "+at(r,
						"resource")] = describeAggregated(r)
				}
			}
		}
	}
	legacy := map[string]string{}
	paths := []string{"/api/v1"}
	for _, group := range list(c.must("GET", "/apis", ""), "groups") {
		paths = append(paths, "/apis/"+at(group, "preferredVersion.groupVersion"))
	}
	for _, path := range paths {
		resources := c.must("GET", path, "")
		for _, r := range list(resources, "resources") {
			if name := at(r, "name"); !strings.Contains(name, "/") {
				legacy[at(resources, "groupVersion")+" "+name] = strings.Join([]string{at(r, "kind"), at(r, "singularName"),
					at(r, "namespaced"), at(r, "shortNames"), at(r, "categories"), at(r, "verbs")}, " ")
			}
		}
	}
	if len(aggregated) < 15 || len(aggregated) != len(legacy) {
		t.Errorf("%d resources aggregated, %d of old", len(aggregated), len(legacy))
	}
	for resource, text := range legacy {
		if aggregated[resource] != text {
			t.Errorf("%s is %q of old and %q aggregated", resource, text, aggregated[resource])
		}
	}
}

func groupVersion(group, version string) string { return strings.TrimPrefix(group+"/"+version, "/") }

// list returns the list called name in an object.
func list(obj any, name string) []any {
	parent, _ := obj.(map[string]any)
	items, _ := parent[name].([]any)
	return items
}

func describeAggregated(r any) string {
	namespaced := "false"
	if at(r, "scope") == "Namespaced" {
		namespaced = "true"
	}
	return strings.Join([]string{at(r, "responseKind.kind"), at(r, "singularResource"), namespaced, at(r, "shortNames"),
		at(r, "categories"), at(r, "verbs")}, " ")
}

// The OpenAPI documents are valid for an independent parser, and describe every group.
func TestOpenAPIDocuments(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	old := c.do("GET", "/openapi/v2", "")
	doc, err := openapiv2.ParseDocument(old.body)
	if err != nil || len(doc.GetDefinitions().GetAdditionalProperties()) < 100 {
		t.Errorf("version 2: %d, %v", old.code, err)
	}
	if bytes.Contains(old.body, []byte(`"$ref":"#/definitions/__internal`)) || bytes.Contains(old.body,
		[]byte("__internal")) {
		t.Error("version 2 tells of types that no client sees")
	}
	if proto := c.do("GET", "/openapi/v2", "", "Accept",
		"application/com.github.proto-openapi.spec.v2@v1.0+protobuf"); proto.code != 200 || len(proto.body) == 0 {
		t.Errorf("version 2 in protobuf: %d", proto.code)
	}
	index, _ := c.must("GET", "/openapi/v3", "")["paths"].(map[string]any)
	for _, want := range []string{"api/v1", "apis/discovery.k8s.io/v1", "apis/networking.k8s.io/v1",
		"apis/coordination.k8s.io/v1", "apis/rbac.authorization.k8s.io/v1"} {
		if index[want] == nil {
			t.Errorf("version 3 has no %s", want)
		}
	}
	for path, entry := range index {
		a := c.do("GET", at(entry, "serverRelativeURL"), "")
		if _, err := openapiv3.ParseDocument(a.body); err != nil || a.code != 200 {
			t.Errorf("version 3 of %s: %d, %v", path, a.code, err)
		}
	}
}

// Metrics need permission. Health checks do not.
func TestMetricsNeedPermission(t *testing.T) {
	server := apitest.Start(t)
	c := newCaller(t, server)
	c.must("POST", configMaps, named("cm-0"))
	if a := c.do("GET", "/metrics", ""); a.code != 200 || !bytes.Contains(a.body,
		[]byte(`apiserver_request_total{code="201"`)) {
		t.Errorf("for an administrator: %d", a.code)
	}
	proxy := "Bearer " + server.ClientConfig(apiserver.UserProxy).BearerToken
	wantStatus(t, c.do("GET", "/metrics", "", "Authorization", proxy), 403, metav1.StatusReasonForbidden,
		`User "system:kube-proxy" cannot get path "/metrics"`)
	wantStatus(t, c.do("GET", "/metrics", "", "Authorization", "Bearer wrong"), 401, metav1.StatusReasonUnauthorized,
		"Unauthorized")
	c.must("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles",
		`{"metadata":{"name":"scraper"},"rules":[{"nonResourceURLs":["/metrics"],"verbs":["get"]}]}`)
	c.must("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
		`{"metadata":{"name":"scraper"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"scraper"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"system:kube-proxy"}]}`)
	eventually(t, "the role is heard of", func() bool {
		return c.do("GET", "/metrics", "", "Authorization",
			proxy).code == 200
	})
	for _, path := range []string{"/healthz", "/livez", "/readyz", "/version"} {
		if a := c.do("GET", path, "", "Authorization", ""); a.code != 200 {
			t.Errorf("%s without credentials: %d", path, a.code)
		}
	}
	for _, path := range []string{"/readyz?verbose", "/livez?verbose"} {
		if text := string(c.do("GET", path, "").body); !strings.Contains(text, "[+]ping ok\n") || !strings.HasSuffix(text,
			"check passed\n") {
			t.Errorf("%s says %s", path, text)
		}
	}
}

// The server reports the Kubernetes release whose behaviour it has.
func TestVersion(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	got := c.must("GET", "/version", "")
	for field, want := range map[string]string{"major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
		"minCompatibilityMajor": "1", "minCompatibilityMinor": "35", "platform": "linux/amd64"} {
		if at(got, field) != want {
			t.Errorf("%s is %q, want %q", field, at(got, field), want)
		}
	}
	if !strings.HasPrefix(at(got, "gitVersion"), "v1.36.") {
		t.Errorf("gitVersion is %q", at(got, "gitVersion"))
	}
}

// Endpoints are deprecated since Kubernetes 1.33: every response has a warning.
func TestDeprecationOfEndpoints(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	const warning = `299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"`
	for path, want := range map[string]bool{
		"/api/v1/namespaces/default/endpoints": true, "/api/v1/namespaces/default/endpoints/kubernetes": true,
		"/api/v1/namespaces/default/services": false, "/apis/discovery.k8s.io/v1/endpointslices": false,
	} {
		if got := slices.Contains(c.do("GET", path, "").header.Values("Warning"), warning); got != want {
			t.Errorf("%s: warned is %v", path, got)
		}
	}
}
