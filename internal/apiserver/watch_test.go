package apiserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

// patience bounds the time that a test waits for an event.
const patience = 30 * time.Second

// heard is one event of a watch.
type heard struct {
	Type   string         `json:"type"`
	Object map[string]any `json:"object"`
}

func (e heard) String() string {
	return e.Type + " " + at(e.Object, "metadata.name") + " " + at(e.Object, "metadata.resourceVersion")
}

// A listener is an open watch.
type listener struct {
	t       *testing.T
	decoder *json.Decoder
}

// watch opens a watch of secrets with the given parameters. It ends with the test.
func (c *caller) watch(pairs ...string) *listener {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	c.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", c.server.URL()+query(secrets, append(pairs, "watch", "true")...),
		nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.server.Config().BearerToken)
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		c.t.Fatalf("watching: %d %s", resp.StatusCode, text)
	}
	return &listener{c.t, json.NewDecoder(resp.Body)}
}

func (l *listener) next() heard {
	l.t.Helper()
	var e heard
	if err := l.decoder.Decode(&e); err != nil {
		l.t.Fatalf("the watch ends: %v", err)
	}
	return e
}

// wants fails the test unless these are the next events.
func (l *listener) wants(events ...string) {
	l.t.Helper()
	for i, want := range events {
		if got := l.next().String(); got != want {
			l.t.Fatalf("event %d is %q, want %q", i, got, want)
		}
	}
}

// A watch from a version delivers all later changes, once each and in order.
func TestWatchFromAVersion(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	then := at(c.must("POST", secrets, secretNamed("a")), "metadata.resourceVersion")
	b := at(c.must("POST", secrets, secretNamed("b")), "metadata.resourceVersion")
	c2 := at(c.must("PATCH", secrets+"/a", `{"stringData":{"k":"v"}}`, "Content-Type", mergeType),
		"metadata.resourceVersion")
	c.must("DELETE", secrets+"/b", "")
	since := c.watch("resourceVersion", then)
	since.wants("ADDED b "+b, "MODIFIED a "+c2)
	gone := since.next()
	if gone.Type != "DELETED" || at(gone.Object, "metadata.name") != "b" || at(gone.Object,
		"metadata.resourceVersion") <= c2 {
		t.Errorf("event %s, want the deletion of b with a version after %s", gone, c2)
	}
	c.watch("resourceVersion", "0").wants("ADDED a " + c2) // the objects, no history
	c.watch().wants("ADDED a " + c2)
	picky := c.watch("fieldSelector", "metadata.name=x")
	x := at(c.must("POST", secrets, secretNamed("x")), "metadata.resourceVersion")
	since.wants("ADDED x " + x)
	picky.wants("ADDED x " + x)
}

// An object that begins to match a selector is ADDED for that watch, and one that no longer matches is DELETED.
func TestWatchOfASelection(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	then := at(c.must("POST", secrets, secretNamed("a")), "metadata.resourceVersion")
	labelled := c.watch("resourceVersion", then, "labelSelector", "picked=yes")
	for _, label := range []string{`"yes"`, `"yes"`, `null`} {
		c.must("PATCH", secrets+"/a", `{"metadata":{"labels":{"picked":`+label+`}},"stringData":{"k":`+label+`}}`,
			"Content-Type", mergeType)
		c.must("PATCH", secrets+"/a", `{"stringData":{"n":"1"}}`, "Content-Type", mergeType)
	}
	for i, want := range []string{"ADDED a", "MODIFIED a", "DELETED a"} {
		if got := labelled.next(); !strings.HasPrefix(got.String(), want) {
			t.Errorf("event %d is %q, want %q", i, got, want)
		}
	}
}

// Instead of a list a client can watch from the beginning; a bookmark marks the end of the existing objects (KEP-3157).
func TestWatchList(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	last := c.makeSecrets(2)
	l := c.watch("sendInitialEvents", "true", "resourceVersionMatch", "NotOlderThan", "allowWatchBookmarks", "true")
	for i := range 2 {
		if got, want := l.next(), fmt.Sprintf("ADDED a-%d", i); !strings.HasPrefix(got.String(), want) {
			t.Errorf("it tells %s, want %s", got, want)
		}
	}
	mark := l.next()
	if mark.Type != "BOOKMARK" || at(mark.Object, "metadata.resourceVersion") < last || at(mark.Object,
		"kind") != "Secret" {
		t.Errorf("it tells %s, want a bookmark of a Secret not older than %s", mark, last)
	}
	annotations, _ := mark.Object["metadata"].(map[string]any)["annotations"].(map[string]any)
	if annotations[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("the bookmark does not say that it ends the initial events: %v", mark.Object)
	}
	more := at(c.must("POST", secrets, secretNamed("more")), "metadata.resourceVersion")
	l.wants("ADDED more " + more)
	a := c.do("GET", query(secrets, "watch", "true", "sendInitialEvents", "true", "allowWatchBookmarks", "true"), "")
	if s := a.status(); a.code != 422 || !strings.Contains(s.Message, "resourceVersionMatch") {
		t.Errorf("without resourceVersionMatch: %d %s", a.code, s.Message)
	}
}

// A watch with bookmarks gets one before it ends, also if none of its objects have changed.
func TestBookmarks(t *testing.T) {
	c := newCaller(t, apitest.Start(t))
	l := c.watch("resourceVersion", c.makeSecrets(1), "fieldSelector", "metadata.name=a-0", "allowWatchBookmarks", "true",
		"timeoutSeconds", "4")
	other := at(c.must("POST", secrets, secretNamed("other")), "metadata.resourceVersion")
	mark := l.next()
	if mark.Type != "BOOKMARK" || at(mark.Object, "metadata.resourceVersion") < other {
		t.Errorf("it tells %s, want a bookmark not older than %s", mark, other)
	}
	if at(mark.Object, "metadata.name") != "" || at(mark.Object, "metadata.uid") != "" {
		t.Errorf("a bookmark has a version, and nothing else of an object: %v", mark.Object)
	}
}

// A version that etcd has compacted is answered with Gone: clients then list again.
func TestCompactedVersions(t *testing.T) {
	cluster := apitest.Etcd(t)
	first := newCaller(t, apitest.StartWith(t, apiserver.Options{DataDir: t.TempDir(), Etcd: cluster}))
	old := first.makeSecrets(4)
	page := first.must("GET", query(secrets, "limit", "2"), "")
	first.must("DELETE", secrets+"/a-2", "")
	forget(t, cluster.Servers[0])
	first.server.Stop()
	// its watch cache starts with the current version
	c := newCaller(t, apitest.StartWith(t, apiserver.Options{DataDir: t.TempDir(), Etcd: cluster}))

	gone := func(what string, s metav1.Status, code int) {
		t.Helper()
		if code != 410 || s.Reason != metav1.StatusReasonExpired {
			t.Errorf("%s: %d %s %s, want 410 Expired", what, code, s.Reason, s.Message)
		}
	}
	e := c.watch("resourceVersion", old).next()
	text, _ := json.Marshal(e.Object)
	told := answer{body: text}.status()
	gone("a watch", told, int(told.Code))
	a := c.do("GET", query(secrets, "resourceVersion", old, "resourceVersionMatch", "Exact"), "")
	gone("a list", a.status(), a.code)
	a = c.do("GET", query(secrets, "limit", "2", "continue", at(page, "metadata.continue")), "")
	gone("a page", a.status(), a.code)
	rest := c.must("GET", query(secrets, "limit", "2", "continue", a.status().Continue), "")
	if got, want := names(rest), "a-3"; got != want {
		t.Errorf("with the token of the refusal the list goes on with %s, want %s", got, want)
	}
}

// forget compacts the history of the store.
func forget(t *testing.T, etcd string) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	now, err := client.Get(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), now.Header.Revision); err != nil {
		t.Fatal(err)
	}
}
