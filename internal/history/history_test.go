package history

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// slice has addresses of the Service shop/web: "10.0.0.1" is ready, "-10.0.0.1" is not, "~10.0.0.1" is ending,
// "!10.0.0.1" is ready and does not serve.
func slice(name string, version int, addrs ...string) *discovery.EndpointSlice {
	port := int32(80)
	s := &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, ResourceVersion: fmt.Sprint(version),
			Labels:        map[string]string{discovery.LabelServiceName: "web"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "viaduct", Time: new(metav1.Unix(1000, 0))}}},
		Ports: []discovery.EndpointPort{{Port: &port}},
	}
	for _, a := range addrs {
		ready, ending := !strings.ContainsAny(a, "-~"), strings.Contains(a, "~")
		e := discovery.Endpoint{Addresses: []string{strings.TrimLeft(a, "-~!")},
			Conditions: discovery.EndpointConditions{Ready: &ready, Terminating: &ending}}
		if strings.Contains(a, "!") {
			e.Conditions.Serving = new(false)
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

func because(e *discovery.Endpoint, listed bool) string {
	if listed {
		return "because"
	}
	return "gone"
}

func open(t *testing.T, opts Options) *Recorder {
	t.Helper()
	r, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// told is the history of shop/web, a word a change.
func told(t *testing.T, r *Recorder) string {
	t.Helper()
	changes, err := r.Of(types.NamespacedName{Namespace: "shop", Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, c := range changes {
		word := strings.TrimSuffix(c.Address, ":80") + " " + c.What
		if c.State != "" {
			word += "/" + c.State
		}
		if c.Unseen {
			word += "?"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// An address that gets connections for want of a better one is told of: else the last that fell would not be.
func TestUsedAllTheSame(t *testing.T) {
	r := open(t, Options{})
	one, two, three := slice("a", 1, "10.0.0.1", "-10.0.0.2"), slice("a", 2, "!10.0.0.1", "!10.0.0.2"),
		slice("a", 3, "10.0.0.1", "-10.0.0.2")
	r.Observe(nil, one, because)
	r.Observe(one, two, because)
	r.Observe(two, three, because)
	const want = "10.0.0.1 added/ready, 10.0.0.2 added/not-ready, 10.0.0.1 used, 10.0.0.2 used, 10.0.0.1 ready, " +
		"10.0.0.2 not-ready"
	if got := told(t, r); got != want {
		t.Errorf("it tells\n%s\nwant\n%s", got, want)
	}
}

func TestChanges(t *testing.T) {
	for name, path := range map[string]string{"in memory": "", "in a file": filepath.Join(t.TempDir(), "history")} {
		t.Run(name, func(t *testing.T) {
			r := open(t, Options{Path: path})
			one, two := slice("a", 1, "10.0.0.1", "-10.0.0.2"), slice("a", 2, "-10.0.0.1", "~10.0.0.2", "10.0.0.3")
			r.Observe(nil, one, because)
			r.Observe(one, two, because)
			r.Observe(two, two, because) // nothing
			moved := slice("b", 3, "10.0.0.3")
			r.Observe(nil, moved, because) // it is in two for a moment
			three := slice("a", 4, "10.0.0.1")
			r.Observe(two, three, because)
			r.Observe(moved, nil, because)
			const want = "10.0.0.1 added/ready, 10.0.0.2 added/not-ready, 10.0.0.1 not-ready, 10.0.0.2 ending, 10.0.0.3 " +
				"added/ready, 10.0.0.2 removed, 10.0.0.1 ready, 10.0.0.3 removed"
			if got := told(t, r); got != want {
				t.Errorf("it tells\n%s\nwant\n%s", got, want)
			}
			changes, err := r.Of(types.NamespacedName{Namespace: "shop", Name: "web"})
			if err != nil {
				t.Fatal(err)
			}
			if c := changes[2]; c.Reason != "because" || c.Object != "endpointslice/a" || c.Version != "2" ||
				c.Writer != "viaduct" || c.Time.IsZero() {
				t.Errorf("a change is %+v", c)
			}
			if c := changes[7]; c.Reason != "gone" || c.Object != "endpointslice/b (deleted)" {
				t.Errorf("the last change is %+v", c)
			}
			if len(r.state) != 1 || len(r.state["shop/web"]) != 1 {
				t.Errorf("it remembers %v", r.state)
			}
		})
	}
}

// The next process goes on where this one ended, and tells what happened between them.
func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	r := open(t, Options{Path: path})
	one := slice("a", 1, "10.0.0.1", "10.0.0.2", "10.0.0.3")
	r.Observe(nil, one, because)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	torn, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := torn.WriteString(`{"time":"2026-01-01T00:00:00Z","serv`); err != nil { // as a crash leaves it
		t.Fatal(err)
	}
	if info, err := torn.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	_ = torn.Close()
	r = open(t, Options{Path: path})
	r.Observe(nil, slice("a", 5, "10.0.0.1", "-10.0.0.2"), because)
	r.Synced()
	const want = "10.0.0.1 added/ready, 10.0.0.2 added/ready, 10.0.0.3 added/ready, 10.0.0.2 not-ready?, 10.0.0.3 removed?"
	if got := told(t, r); got != want {
		t.Errorf("it tells\n%s\nwant\n%s", got, want)
	}
}

// The files stay within their bound, and what is so is known although the line that told of it is gone.
func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	const bound = 20_000
	r := open(t, Options{Path: path, MaxBytes: bound})
	r.Observe(nil, slice("old", 1, "10.0.0.9"), because)
	last := slice("a", 0, "10.0.0.1")
	r.Observe(nil, last, because)
	for i := range 1000 {
		next := slice("a", i, []string{"10.0.0.1", "-10.0.0.1"}[i%2])
		r.Observe(last, next, because)
		last = next
	}
	var sum int64
	for _, p := range []string{path, path + ".1"} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	if sum > bound+1000 {
		t.Errorf("%d bytes are kept", sum)
	}
	if got := told(t, r); strings.Contains(got, "10.0.0.9") || strings.Count(got, "10.0.0.1") < 20 {
		t.Errorf("it tells %s", got)
	}
	r = open(t, Options{Path: path, MaxBytes: bound})
	before := told(t, r)
	r.Observe(nil, slice("old", 1, "10.0.0.9"), because)
	r.Observe(nil, last, because)
	r.Synced()
	if got := told(t, r); got != before {
		t.Errorf("a restart at which nothing had changed adds %s", strings.TrimPrefix(got, before))
	}
}

// A disk that takes nothing does no harm, and what happened meanwhile is written once it does.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	r := open(t, Options{Path: path})
	good := r.file.now
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("there is no /dev/full: %v", err)
	}
	r.file.now = full
	one, two := slice("a", 1, "10.0.0.1"), slice("a", 2, "-10.0.0.1")
	r.Observe(nil, one, because)
	if got := told(t, r); got != "10.0.0.1 added/ready" || !r.failing {
		t.Errorf("with a full disk it tells %s", got)
	}
	r.file.now = good
	r.Observe(one, two, because)
	if got := told(t, r); got != "10.0.0.1 added/ready, 10.0.0.1 not-ready" || r.failing || len(r.recent) != 0 {
		t.Errorf("after that it tells %s", got)
	}
	_ = full.Close()
}

// Without a file, the memory is bounded.
func TestMemoryIsBounded(t *testing.T) {
	r := open(t, Options{})
	states := []*discovery.EndpointSlice{slice("a", 1, "10.0.0.1"), slice("a", 2, "-10.0.0.1")}
	r.Observe(nil, states[0], because)
	for i := range 3 * memoryLimit {
		r.Observe(states[i%2], states[1-i%2], because)
	}
	if n := len(r.recent); n < memoryLimit || n > 2*memoryLimit {
		t.Errorf("%d changes are kept", n)
	}
}
