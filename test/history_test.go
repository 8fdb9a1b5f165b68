package test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// A chronicle knows every version that writers may have made.
type chronicle struct {
	answers atomic.Int64

	mu      sync.Mutex
	written map[string]map[int]uint64 // guarded by mu; object → number of the write → resourceVersion, 0 without an answer
}

func (c *chronicle) note(key string, n int, version uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.written[key] == nil {
		c.written[key] = map[int]uint64{}
	}
	c.written[key][n] = version
}

// judge says what is wrong about somebody having seen a version. Writers must have come to rest.
func (c *chronicle) judge(key string, v version) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	answered, attempted := c.written[key][v.n]
	switch {
	case !attempted:
		return fmt.Errorf("%s was told as %+v, which nobody wrote", key, v)
	case v.ends && answered < v.version: // the mark that it is being deleted keeps what was written
	case answered != 0 && answered != v.version:
		return fmt.Errorf("%s was told as %+v, but that write became version %d", key, v, answered)
	}
	return nil
}

// A version is one state of an object: which write made it, and what the server called it.
type version struct {
	n       int
	version uint64
	ends    bool // it is being deleted
}

// A history is an informer's handler that keeps account of what it is told, and finds what cannot be.
type history struct {
	mu     sync.Mutex
	last   map[string]metav1.Object // guarded by mu, as all below; what is there as far as was told
	seen   map[string][]version
	events int
	faults []error
}

func (h *history) OnAdd(obj any, _ bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := obj.(metav1.Object)
	if last, there := h.last[now.GetName()]; there {
		h.faultf("%s is added as version %s, but is there as %s", now.GetName(), now.GetResourceVersion(),
			last.GetResourceVersion())
	}
	h.see(now)
}

func (h *history) OnUpdate(before, after any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, now := before.(metav1.Object), after.(metav1.Object)
	last, there := h.last[now.GetName()]
	if !there || last.GetResourceVersion() != old.GetResourceVersion() {
		h.faultf("%s changes from version %s, which is not what was told before", now.GetName(), old.GetResourceVersion())
	}
	h.see(now)
}

func (h *history) OnDelete(obj any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if unknown, missed := obj.(cache.DeletedFinalStateUnknown); missed {
		obj = unknown.Obj
	}
	now := obj.(metav1.Object)
	last, there := h.last[now.GetName()]
	switch {
	case !there:
		h.faultf("%s is deleted, but was not there", now.GetName())
	case older(now, last):
		h.faultf("%s is deleted as of version %s, after %s", now.GetName(), now.GetResourceVersion(),
			last.GetResourceVersion())
	}
	delete(h.last, now.GetName())
	h.events++
}

// see remembers a version. Only objects of the writers are looked at.
func (h *history) see(now metav1.Object) {
	h.events++
	name := now.GetName()
	if last, there := h.last[name]; there && older(now, last) {
		h.faultf("%s goes back from version %s to %s", name, last.GetResourceVersion(), now.GetResourceVersion())
	}
	h.last[name] = now
	if text, ours := now.GetAnnotations()[writeNumber]; ours {
		n, err := strconv.Atoi(text)
		if err != nil {
			h.faultf("%s: %v", name, err)
		}
		h.seen[name] = append(h.seen[name], version{n, versionOf(now), now.GetDeletionTimestamp() != nil})
	}
}

func (h *history) faultf(format string, args ...any) {
	h.faults = append(h.faults, fmt.Errorf(format, args...))
}

func (h *history) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.events
}

// versionOf is a resourceVersion as a number, as KEP-5504 allows clients to compare them; 0 if it is none.
func versionOf(obj metav1.Object) uint64 {
	n, err := strconv.ParseUint(obj.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func older(a, b metav1.Object) bool { return versionOf(a) < versionOf(b) }

// compare requires that every informer, and what its handler was told, ends with a fresh list, and finds the faults on
// the way.
func (s *scene) compare() {
	s.t.Helper()
	for _, f := range s.followed {
		fresh := s.list(f)
		eventually(s.t, "the informer of "+f.resource.Resource+" catches up", func() error {
			held := map[string]metav1.Object{}
			for _, obj := range f.store.List() {
				held[obj.(metav1.Object).GetName()] = obj.(metav1.Object)
			}
			if err := differ(held, fresh); err != nil {
				return fmt.Errorf("its store: %w", err)
			}
			f.told.mu.Lock()
			defer f.told.mu.Unlock()
			return differ(f.told.last, fresh)
		})
		versions := 0
		for _, fault := range f.told.faults {
			s.t.Errorf("%s: %v", f.resource.Resource, fault)
		}
		for name, seen := range f.told.seen {
			versions += len(seen)
			for _, v := range seen {
				if err := s.book.judge(f.resource.Resource+"/"+name, v); err != nil {
					s.t.Error(err)
				}
			}
		}
		s.t.Logf("%s: %d events of %d versions, all of them real", f.resource.Resource, f.told.count(), versions)
	}
}

// list asks the server, with the types that the informers have.
func (s *scene) list(f followed) map[string]metav1.Object {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	var list runtime.Object
	var err error
	switch f.resource.Resource {
	case "services":
		list, err = s.client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	case "pods":
		list, err = s.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	default:
		list, err = s.client.DiscoveryV1().EndpointSlices(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	fresh := map[string]metav1.Object{}
	err = meta.EachListItem(list, func(obj runtime.Object) error {
		fresh[obj.(metav1.Object).GetName()] = obj.(metav1.Object)
		return nil
	})
	if err != nil || len(fresh) == 0 {
		s.t.Fatalf("listing %s gives %d objects, %v", f.resource.Resource, len(fresh), err)
	}
	return fresh
}

func differ(held, fresh map[string]metav1.Object) error {
	if len(held) != len(fresh) {
		return fmt.Errorf("%d objects, want %d", len(held), len(fresh))
	}
	for name, want := range fresh {
		if got := held[name]; !equality.Semantic.DeepEqual(got, want) {
			return fmt.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	return nil
}
