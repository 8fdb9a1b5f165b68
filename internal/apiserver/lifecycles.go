package apiserver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/lifecycle"
)

// newLifecycle prepares what upstream's controller manager does for the life of objects, on all resources that b
// serves.
func (s *Server) newLifecycle(b *builder) (*lifecycle.Lifecycle, error) {
	var resources []lifecycle.Resource
	for _, group := range slices.Sorted(maps.Keys(b.rest)) {
		for _, name := range slices.Sorted(maps.Keys(b.rest[group])) {
			store, ok := b.rest[group][name].(lifecycle.Store)
			if !ok || strings.Contains(name, "/") {
				continue // a subresource, or nothing that is stored
			}
			kinds, _, err := b.schemes.documented.ObjectKinds(store.New())
			if err != nil {
				return nil, fmt.Errorf("finding the kind of %s: %w", name, err)
			}
			resources = append(resources, lifecycle.Resource{
				GroupResource: schema.GroupResource{Group: group, Resource: name}, Kind: kinds[0].Kind,
				Namespaced: store.(rest.Scoper).NamespaceScoped(), Store: store,
			})
		}
	}
	namespaces := b.rest[corev1.GroupName]
	return lifecycle.New(lifecycle.Options{
		Resources: resources, Finalize: namespaces["namespaces/finalize"].(rest.Updater),
		Status: namespaces["namespaces/status"].(rest.Updater),
		RootCA: s.pki.CAPEM(), Log: s.log,
	}), nil
}

// beginLifecycle returns what is to run until ctx ends. The server waits for its end before it lets the watch caches
// go: a consistent read of a cache that no longer learns anything blocks for three seconds.
func (s *Server) beginLifecycle(ctx context.Context) (run func()) {
	ended := make(chan struct{})
	s.generic.AddPreShutdownHookOrDie("viaduct-lifecycle", func() error { <-ended; return nil })
	return func() {
		defer close(ended)
		s.lifecycle.Run(ctx)
	}
}
