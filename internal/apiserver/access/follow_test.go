package access

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// fakeStorage is a storage that a test fills and whose watches the test can end.
type fakeStorage struct {
	mu      sync.Mutex // guards the fields below
	list    runtime.Object
	watches []*watch.RaceFreeFakeWatcher
	watched chan struct{} // receives a value when a watch is opened
}

func newShelf(list runtime.Object) *fakeStorage {
	return &fakeStorage{list: list, watched: make(chan struct{}, 100)}
}

func (s *fakeStorage) List(context.Context, *internalversion.ListOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list, nil
}

func (s *fakeStorage) Watch(context.Context, *internalversion.ListOptions) (watch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := watch.NewRaceFreeFake()
	s.watches = append(s.watches, w)
	s.watched <- struct{}{}
	return w, nil
}

// put changes what is there; end is told to the last watch.
func (s *fakeStorage) put(list runtime.Object, end func(*watch.RaceFreeFakeWatcher)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = list
	end(s.watches[len(s.watches)-1])
}

func TestFollowsThroughLostWatches(t *testing.T) {
	bindings := newShelf(&rbacv1.ClusterRoleBindingList{})
	r := NewRBAC()
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		done <- r.Run(ctx, Sources{
			Roles:        Source{Storage: newShelf(&rbacv1.RoleList{})},
			RoleBindings: Source{Storage: newShelf(&rbacv1.RoleBindingList{})},
			ClusterRoles: Source{Storage: newShelf(&rbacv1.ClusterRoleList{})}, ClusterRoleBindings: Source{Storage: bindings},
			Log: slog.New(slog.DiscardHandler),
		})
	}()
	ends := []struct {
		name string
		tell func(*watch.RaceFreeFakeWatcher)
	}{
		{"an event", func(w *watch.RaceFreeFakeWatcher) { w.Add(&rbacv1.ClusterRoleBinding{}) }},
		{"an end without a word", func(w *watch.RaceFreeFakeWatcher) { w.Stop() }},
		{"an error", func(w *watch.RaceFreeFakeWatcher) { w.Error(&rbacv1.ClusterRoleBinding{}) }},
	}
	<-bindings.watched
	for i, end := range ends {
		list := &rbacv1.ClusterRoleBindingList{Items: make([]rbacv1.ClusterRoleBinding, i+1)}
		bindings.put(list, end.tell)
		for {
			<-r.Changed()
			have, err := r.Objects(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(have.ClusterRoleBindings) == i+1 {
				break
			}
		}
		if i > 0 { // the watch was lost
			<-bindings.watched
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A request waits until the roles have been listed, and not beyond its context.
func TestRequestsWaitForTheFirstList(t *testing.T) {
	r := NewRBAC()
	a := resource("get", "", "pods", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Authorize(ctx, a); err == nil {
		t.Error("an answer without roles")
	}
	r.publish(compile(Objects{}))
	if _, _, err := r.Authorize(t.Context(), a); err != nil {
		t.Error(err)
	}
}
