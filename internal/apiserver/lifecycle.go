package apiserver

import (
	"cmp"
	"context"
	"slices"

	"viaduct/internal/apiserver/kinds"
	"viaduct/internal/apiserver/lifecycle"
	"viaduct/internal/apiserver/pki"
	"viaduct/internal/apiserver/resource"
)

// newLifecycle prepares what kube-controller-manager does elsewhere for namespaces and owned objects, for all resources
// of b.
func (s *Server) newLifecycle(b *resource.Builder, set *kinds.Set, ca *pki.Authority) *lifecycle.Lifecycle {
	var resources []lifecycle.Resource
	for _, r := range b.Served() {
		store, ok := r.Storage.(lifecycle.Store)
		if !ok {
			continue // objects that cannot be deleted have no lifecycle
		}
		resources = append(resources, lifecycle.Resource{GroupResource: r.GroupResource, Kind: r.Kind,
			Namespaced: r.Namespaced, Store: store})
	}
	slices.SortFunc(resources, func(a, b lifecycle.Resource) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
	})
	return lifecycle.New(lifecycle.Options{
		Resources: resources, Finalize: set.Namespaces.FinalizeUpdater(), Status: set.Namespaces.StatusUpdater(),
		RootCA: ca.CAPEM(), Log: s.log,
	})
}

// beginLifecycle returns what is to run until ctx ends. The server waits for its end before it stops the watch caches:
// a consistent read of a stopped cache blocks for three seconds.
func (s *Server) beginLifecycle(ctx context.Context) (run func()) {
	ended := make(chan struct{})
	s.generic.AddPreShutdownHookOrDie("viaduct-lifecycle", func() error { <-ended; return nil })
	return func() {
		defer close(ended)
		s.lifecycle.Run(ctx)
	}
}
