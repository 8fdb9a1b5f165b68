package apiserver_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver/apitest"
)

// A caller is an administrator's HTTP client over TLS, so that a test sees every header.
type caller struct {
	t      *testing.T
	server *apitest.Server
	client *http.Client
}

func newCaller(t *testing.T, server *apitest.Server) *caller {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, // the test's own server
		DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{t: t, server: server, client: &http.Client{Transport: transport}}
}

// An answer is the response to one request.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// status returns the body as a Status, which is empty if the body is not one.
func (a answer) status() metav1.Status {
	var s metav1.Status
	if json.Unmarshal(a.body, &s) != nil || s.Kind != "Status" {
		return metav1.Status{}
	}
	return s
}

// object returns the body as JSON, or nil if it is not JSON.
func (a answer) object() map[string]any {
	var obj map[string]any
	if json.Unmarshal(a.body, &obj) != nil {
		return nil
	}
	return obj
}

// do sends a request. headers are names and values. The body is JSON unless a header says otherwise.
func (c *caller) do(method, path, body string, headers ...string) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.server.URL()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.server.Config().BearerToken)
	req.Header.Set("Content-Type", jsonType)
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, text}
}

// must sends a request that has to succeed, and returns the object in the response.
func (c *caller) must(method, path, body string, headers ...string) map[string]any {
	c.t.Helper()
	a := c.do(method, path, body, headers...)
	if a.code >= 300 {
		c.t.Fatalf("%s %s: %d %s", method, path, a.code, a.body)
	}
	return a.object()
}

// secrets is the path that the tests of lists and watches use: a new namespace has config maps, but no secrets.
const secrets = "/api/v1/namespaces/default/secrets"

func secretNamed(name string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":%q}}`, name)
}

// makeSecrets creates n secrets, a-0 and following, and returns the resourceVersion of the last.
func (c *caller) makeSecrets(n int) string {
	c.t.Helper()
	version := ""
	for i := range n {
		version = at(c.must("POST", secrets, secretNamed(fmt.Sprintf("a-%d", i))), "metadata.resourceVersion")
	}
	return version
}

// at returns the value at a path of JSON names with dots, as text; "" if there is none.
func at(obj any, path string) string {
	for name := range strings.SplitSeq(path, ".") {
		switch parent := obj.(type) {
		case map[string]any:
			obj = parent[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(parent) {
				return ""
			}
			obj = parent[i]
		default:
			return ""
		}
	}
	if obj == nil {
		return ""
	}
	return fmt.Sprint(obj)
}

// names returns the names of a list's items.
func names(list map[string]any) string {
	var all []string
	items, _ := list["items"].([]any)
	for _, item := range items {
		all = append(all, at(item, "metadata.name"))
	}
	return strings.Join(all, " ")
}

// query returns a path with parameters, given as names and values.
func query(path string, pairs ...string) string {
	values := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		values.Set(pair[0], pair[1])
	}
	return path + "?" + values.Encode()
}

// The meanings of the resourceVersion of a list request:
// https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions.
func TestListVersions(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	then := c.makeSecrets(2)
	now := at(c.must("POST", secrets, secretNamed("later")), "metadata.resourceVersion")
	c.must("DELETE", secrets+"/a-0", "")
	for _, l := range []struct{ name, version, match, want string }{
		{"most recent", "", "", "a-1 later"},
		{"any", "0", "", "a-1 later"}, // the list before has waited for the watch cache
		{"any, spelled out", "0", "NotOlderThan", "a-1 later"},
		{"not older than", then, "NotOlderThan", "a-1 later"},
		{"not older than, unsaid", then, "", "a-1 later"},
		{"exactly then", then, "Exact", "a-0 a-1"},
		{"exactly later", now, "Exact", "a-0 a-1 later"},
	} {
		t.Run(l.name, func(t *testing.T) {
			list := c.must("GET", query(secrets, "resourceVersion", l.version, "resourceVersionMatch", l.match), "")
			if got := names(list); got != l.want {
				t.Errorf("it has %s, want %s", got, l.want)
			}
			if got := at(list, "metadata.resourceVersion"); l.match == "Exact" && got != l.version {
				t.Errorf("it is of version %s, want %s", got, l.version)
			}
		})
	}
	for _, l := range []struct {
		name   string
		pairs  []string
		code   int
		reason metav1.StatusReason
		says   string
	}{
		{"a match without a version", []string{"resourceVersionMatch", "Exact"}, 422, metav1.StatusReasonInvalid,
			"resourceVersionMatch is forbidden unless resourceVersion is provided"},
		{"exactly any", []string{"resourceVersion", "0", "resourceVersionMatch", "Exact"}, 422, metav1.StatusReasonInvalid,
			"resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""},
		{"no such match", []string{"resourceVersion", now, "resourceVersionMatch", "Newer"}, 422, metav1.StatusReasonInvalid,
			"Unsupported value"},
		{"a version to come", []string{"resourceVersion", "1000000"}, 504, metav1.StatusReasonTimeout,
			"Too large resource version: 1000000"},
		{"exactly a version to come", []string{"resourceVersion", "1000000", "resourceVersionMatch", "Exact"}, 504,
			metav1.StatusReasonTimeout, "Too large resource version: 1000000"},
	} {
		t.Run(l.name, func(t *testing.T) {
			a := c.do("GET", query(secrets, l.pairs...), "")
			s := a.status()
			if a.code != l.code || s.Reason != l.reason || !strings.Contains(s.Message, l.says) {
				t.Errorf("%d %s %q, want %d %s %q", a.code, s.Reason, s.Message, l.code, l.reason, l.says)
			}
			if l.code == 504 && (s.Details == nil || len(s.Details.Causes) == 0 ||
				s.Details.Causes[0].Type != metav1.CauseTypeResourceVersionTooLarge) {
				t.Errorf("no cause by which clients know that they must wait: %+v", s.Details)
			}
		})
	}
}

// All pages of a list have one version, regardless of writes in between.
func TestPages(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	c.makeSecrets(5)
	first := c.must("GET", query(secrets, "limit", "2"), "")
	token := at(first, "metadata.continue")
	if got := names(first); got != "a-0 a-1" || at(first, "metadata.remainingItemCount") != "3" || token == "" {
		t.Fatalf("the first page has %s, and %v", got, first["metadata"])
	}
	c.must("DELETE", secrets+"/a-3", "")
	c.must("POST", secrets, secretNamed("a-22"))
	second := c.must("GET", query(secrets, "limit", "2", "continue", token), "")
	if got, want := names(second), "a-2 a-3"; got != want {
		t.Errorf("the second page has %s, want %s", got, want)
	}
	third := c.must("GET", query(secrets, "limit", "2", "continue", at(second, "metadata.continue")), "")
	if got := names(third); got != "a-4" || at(third, "metadata.continue") != "" {
		t.Errorf("the last page has %s, and %v", got, third["metadata"])
	}
	for page, list := range map[string]map[string]any{"second": second, "third": third} {
		if got, want := at(list, "metadata.resourceVersion"), at(first, "metadata.resourceVersion"); got != want {
			t.Errorf("the %s page is of version %s, the first of %s", page, got, want)
		}
	}
	a := c.do("GET", query(secrets, "limit", "2", "continue", token, "resourceVersion", "1", "resourceVersionMatch",
		"Exact"), "")
	if s := a.status(); a.code != 422 || s.Reason != metav1.StatusReasonInvalid {
		t.Errorf("a page of another version: %d %s %s", a.code, s.Reason, s.Message)
	}
}
