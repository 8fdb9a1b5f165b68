package apiserver_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

const (
	jsonType  = "application/json"
	yamlType  = "application/yaml"
	protoType = "application/vnd.kubernetes.protobuf"
	patchType = "application/json-patch+json"
	mergeType = "application/merge-patch+json"
	smpType   = "application/strategic-merge-patch+json"
	applyType = "application/apply-patch+yaml"

	configMaps = "/api/v1/namespaces/default/configmaps"
	victim     = configMaps + "/victim" // exists before the attack, and must be unchanged after it
)

// hostile is a request of an attacker or of a broken client.
type hostile struct {
	name        string
	method      string // "": POST
	path        string // "": configMaps
	contentType string // "": JSON
	body        string
	code        int
	reason      metav1.StatusReason
}

// configMap returns the JSON of a ConfigMap with the given top-level members.
func configMap(members string) string {
	return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},` + members + `}`
}

func named(name string) string {
	quoted, _ := json.Marshal(name) // never fails for a string
	return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":` + string(quoted) + `}}`
}

// manyOps returns a JSON patch of n copies of one operation.
func manyOps(op string, n int) string { return "[" + strings.Repeat(op+",", n-1) + op + "]" }

// doublings returns a JSON patch of n operations, each of which doubles the value at /data.
func doublings(n int) string {
	ops := []string{`{"op":"add","path":"/data/a","value":"` + strings.Repeat("x", 1000) + `"}`}
	for i := range n {
		ops = append(ops, fmt.Sprintf(`{"op":"copy","from":"/data","path":"/data/n%d"}`, i))
	}
	return "[" + strings.Join(ops, ",") + "]"
}

// laughs returns a YAML document whose aliases expand to 10^n strings.
func laughs(n int) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  a0: &a0 lol\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "  a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9)+fmt.Sprintf("*a%d", i-1))
	}
	return b.String()
}

func hostileBodies() []hostile {
	bad, invalid := metav1.StatusReasonBadRequest, metav1.StatusReasonInvalid
	return []hostile{
		{name: "nothing", body: "", code: 400, reason: bad},
		{name: "not JSON", body: "{{{", code: 400, reason: bad},
		{name: "half a text", body: `{"apiVersion":"v1","kind":"Conf`, code: 400, reason: bad},
		{name: "another kind", body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}`, code: 400, reason: bad},
		{name: "no kind of this API", body: `{"apiVersion":"v9","kind":"Gadget"}`, code: 400, reason: bad},
		{name: "a list where an object belongs", body: `[]`, code: 400, reason: bad},
		{name: "wrong type of a field", body: configMap(`"data":{"a":{"b":1}}`), code: 400, reason: bad},
		{name: "wrong type of the metadata", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":"x"}`, code: 400,
			reason: bad},
		{name: "deep nesting", body: configMap(`"data":` + strings.Repeat(`{"a":`, 100000) + `1` + strings.Repeat("}",
			100000)), code: 400, reason: bad},
		{name: "deep nesting of lists", body: strings.Repeat("[", 500000), code: 400, reason: bad},
		{name: "deep nesting of YAML", contentType: yamlType, body: strings.Repeat("[", 100000), code: 400, reason: bad},
		{name: "a billion laughs", contentType: yamlType, body: laughs(9), code: 400, reason: bad},
		{name: "broken protobuf", contentType: protoType, body: "k8s\x00\x0a\xff\xff\xff\xff\xff\xff", code: 400,
			reason: bad},
		{name: "protobuf that is none", contentType: protoType, body: `{"kind":"ConfigMap"}`, code: 400, reason: bad},
		{name: "an unknown media type", contentType: "image/png", body: "x", code: 415,
			reason: metav1.StatusReasonUnsupportedMediaType},
		{name: "over the limit of a body", body: configMap(`"data":{"a":"` + strings.Repeat("x", 4<<20) + `"}`), code: 413,
			reason: metav1.StatusReasonRequestEntityTooLarge},
		{name: "over the limit of an object", body: configMap(`"data":{"a":"` + strings.Repeat("x", 2<<20) + `"}`), code: 422,
			reason: invalid},
		{name: "duplicate keys, refused when asked to", path: configMaps + "?fieldValidation=Strict",
			body: configMap(`"data":{"a":"1","a":"2"}`), code: 400, reason: bad},
		{name: "unknown field, refused when asked to", path: configMaps + "?fieldValidation=Strict",
			body: configMap(`"dato":{}`), code: 400, reason: bad},
		{name: "no such validation", path: configMaps + "?fieldValidation=Harsh", body: configMap(`"data":{}`), code: 422,
			reason: invalid},
		{name: "no such dry run", path: configMaps + "?dryRun=Half", body: configMap(`"data":{}`), code: 422,
			reason: invalid},
		{name: "another namespace in the body",
			body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"kube-system"}}`, code: 400,
			reason: bad},
		{name: "no namespace of that name", path: "/api/v1/namespaces/nowhere/configmaps", body: configMap(`"data":{}`),
			code: 404, reason: metav1.StatusReasonNotFound},
	}
}

func hostileNames() []hostile {
	invalid := metav1.StatusReasonInvalid
	var cases []hostile
	for what, name := range map[string]string{
		"empty": "", "long": strings.Repeat("a", 254), "megabytes long": strings.Repeat("a", 2<<20), "with a slash": "a/b",
		"up a folder": "..",
		"with NUL":    "a\x00b", "of control characters": "\r\n\x1b[31m", "with a percent sign": "a%2fb",
		"of another script": "сервис", "upper case": "Victim",
	} {
		cases = append(cases, hostile{name: "a name " + what, body: named(name), code: 422, reason: invalid})
	}
	return append(cases,
		hostile{name: "a generated name from nonsense",
			body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"../../"}}`, code: 422, reason: invalid},
		hostile{name: "invalid UTF-8 in a key", body: configMap("\"data\":{\"\xff\xfe\":\"x\"}"), code: 422, reason: invalid},
		hostile{name: "a NUL in a key", body: configMap(`"data":{"a\u0000b":"x"}`), code: 422, reason: invalid},
		hostile{name: "a label of nonsense",
			body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","labels":{"a b":"c d"}}}`, code: 422,
			reason: invalid},
		hostile{name: "annotations without end",
			body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","annotations":{"a":"` + strings.Repeat("x",
				300<<10) + `"}}}`, code: 422, reason: invalid},
		hostile{name: "a path out of the API", method: "GET", path: configMaps + "/..%2f..%2f..%2fetc%2fpasswd", code: 404,
			reason: metav1.StatusReasonNotFound},
		hostile{name: "an unknown resource", method: "GET", path: "/api/v1/namespaces/default/gadgets", code: 404,
			reason: metav1.StatusReasonNotFound},
		hostile{name: "an unsupported verb", method: "PUT", path: configMaps, body: configMap(`"data":{}`), code: 405,
			reason: metav1.StatusReasonMethodNotAllowed},
		hostile{name: "a selector of nonsense", method: "GET", path: configMaps + "?labelSelector=%3D%3D%3D", code: 400,
			reason: metav1.StatusReasonBadRequest},
		hostile{name: "a field that is not selectable", method: "GET", path: configMaps + "?fieldSelector=data.a%3Db",
			code:   400,
			reason: metav1.StatusReasonBadRequest},
		hostile{name: "a huge selector", method: "GET", path: configMaps + "?labelSelector=a+in+(" + strings.Repeat("x,",
			30000) + "x)", code: 200},
		hostile{name: "a limit of nonsense", method: "GET", path: configMaps + "?limit=many", code: 400,
			reason: metav1.StatusReasonBadRequest},
		hostile{name: "a continue token of nonsense", method: "GET", path: configMaps + "?limit=1&continue=nonsense",
			code: 400, reason: metav1.StatusReasonBadRequest},
		hostile{name: "a version of nonsense", method: "GET", path: configMaps + "?resourceVersion=new", code: 400,
			reason: metav1.StatusReasonBadRequest},
	)
}

func hostilePatches() []hostile {
	bad, invalid := metav1.StatusReasonBadRequest, metav1.StatusReasonInvalid
	patch := func(name, contentType, body string, code int, reason metav1.StatusReason) hostile {
		return hostile{name: name, method: "PATCH", path: victim, contentType: contentType, body: body, code: code,
			reason: reason}
	}
	apply := func(name, body string, code int, reason metav1.StatusReason) hostile {
		h := patch(name, applyType, body, code, reason)
		h.path += "?fieldManager=attacker"
		return h
	}
	return []hostile{
		patch("a patch that is none", patchType, "nonsense", 400, bad),
		patch("a patch of an unknown operation", patchType, `[{"op":"burn","path":"/data"}]`, 422, invalid),
		patch("a patch of what is not there", patchType, `[{"op":"remove","path":"/data/nothing"}]`, 422, invalid),
		patch("a test that fails", patchType, `[{"op":"test","path":"/data/a","value":"2"}]`, 422, invalid),
		patch("a patch of too many operations", patchType, manyOps(`{"op":"add","path":"/data/a","value":"2"}`, 20000), 413,
			metav1.StatusReasonRequestEntityTooLarge),
		patch("a patch that doubles and doubles", patchType, doublings(40), 422, invalid),
		patch("a patch of the name", patchType, `[{"op":"replace","path":"/metadata/name","value":"other"}]`, 400, bad),
		patch("a merge that is none", mergeType, `[1]`, 400, bad),
		patch("a merge of wrong types", mergeType, `{"data":{"a":[1]}}`, 422, invalid),
		patch("a strategic merge of an unknown directive", smpType, `{"data":{"$patch":"explode"}}`, 400, bad),
		patch("a strategic merge of wrong types", smpType, `{"data":7}`, 422, invalid),
		patch("a patch of an unknown type", "text/plain", `{}`, 415, metav1.StatusReasonUnsupportedMediaType),
		patch("a patch over the limit", mergeType, `{"data":{"a":"`+strings.Repeat("x", 4<<20)+`"}}`, 413,
			metav1.StatusReasonRequestEntityTooLarge),
		patch("an apply without a manager", applyType, configMap(`"data":{}`), 422, invalid),
		apply("an apply of an unknown field",
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"victim"},"dato":{"a":"2"}}`, 400, bad),
		apply("an apply of another name", configMap(`"data":{"b":"2"}`), 400, bad),
		apply("an apply that is none", "]", 400, bad),
		apply("an apply of a billion laughs", laughs(9), 400, bad),
	}
}

// attack sends h and returns the status code and the reason of the response.
func attack(t *testing.T, client *http.Client, server *apitest.Server, h hostile) (int, metav1.StatusReason, string) {
	t.Helper()
	method, path, contentType := h.method, h.path, h.contentType
	if method == "" {
		method = http.MethodPost
	}
	if path == "" {
		path = configMaps
	}
	if contentType == "" {
		contentType = jsonType
	}
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL()+path, strings.NewReader(h.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer "+server.Config().BearerToken)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	var status metav1.Status
	if json.Unmarshal(body, &status) != nil || status.Kind != "Status" {
		return resp.StatusCode, "", string(bytes.TrimSpace(body[:min(len(body), 300)]))
	}
	return resp.StatusCode, status.Reason, status.Message[:min(len(status.Message), 300)]
}

// TestHostileInput sends requests that a server must refuse. It checks the responses, that the server keeps working,
// and that nothing is stored.
func TestHostileInput(t *testing.T) {
	server := apitest.Start(t)
	// the test's own server
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	t.Cleanup(client.CloseIdleConnections)
	made := strings.Replace(configMap(`"data":{"a":"1"}`), `"x"`, `"victim"`, 1)
	if code, _, text := attack(t, client, server, hostile{body: made}); code != http.StatusCreated {
		t.Fatalf("making the victim: %d %s", code, text)
	}
	before, heap := stored(t, server), heapInUse()
	for _, h := range slices.Concat(hostileBodies(), hostileNames(), hostilePatches()) {
		t.Run(h.name, func(t *testing.T) {
			code, reason, text := attack(t, client, server, h)
			if code != h.code || reason != h.reason {
				t.Errorf("%d %q, want %d %q: %s", code, reason, h.code, h.reason, text)
			}
		})
	}
	if after := stored(t, server); after != before {
		t.Errorf("config maps were\n%s\nand are\n%s", before, after)
	}
	const bound = 256 << 20
	if grown := heapInUse() - heap; grown > bound {
		t.Errorf("the heap has grown by %d MB", grown>>20)
	}
}

// stored returns all config maps as text, except those that the server creates.
func stored(t *testing.T, server *apitest.Server) string {
	t.Helper()
	list, err := server.ClientAs(t, apiserver.UserAdmin).CoreV1().ConfigMaps("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatalf("the server does not answer any more: %v", err)
	}
	var b strings.Builder
	for _, cm := range list.Items {
		if cm.Name == "kube-root-ca.crt" {
			continue // the server creates it, at some time
		}
		fmt.Fprintf(&b, "%s/%s %v at %s\n", cm.Namespace, cm.Name, cm.Data, cm.ResourceVersion)
	}
	return b.String()
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}
