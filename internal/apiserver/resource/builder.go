package resource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"viaduct/internal/apiserver/store"
)

// A Builder collects the resources of one server. Its use has three steps: Declare and Add for every resource,
// Complete, Install. The steps before Complete only describe; etcd is not read.
type Builder struct {
	schemes  *Schemes
	groups   []schema.GroupVersion // in the order in which they were added
	rest     map[string]map[string]rest.Storage
	served   []Served
	stores   []*registry.Store // the main ones
	complete []func(backend) error
	err      error // of the declarations
}

// Served is one declared resource.
type Served struct {
	schema.GroupResource
	Kind       string // such as "Pod"
	Namespaced bool
	Storage    rest.Storage // its handler
	New        func() runtime.Object
	UserRoles  UserRoles
}

// NewBuilder returns a Builder without resources.
func NewBuilder() *Builder {
	return &Builder{schemes: newSchemes(), rest: map[string]map[string]rest.Storage{}}
}

// Schemes returns the types of all groups that were added.
func (b *Builder) Schemes() *Schemes { return b.schemes }

// Served returns the declared resources in their order, without subresources.
func (b *Builder) Served() []Served { return b.served }

// AddGroup registers the types of an API group. Declare does so for the group of its kind.
func (b *Builder) AddGroup(g Group) {
	if slices.Contains(b.groups, g.Version) {
		return
	}
	b.fail(b.schemes.add(g))
	b.groups = append(b.groups, g.Version)
}

// Add serves a handler at a resource, or at a subresource if that is not "".
func (b *Builder) Add(resource schema.GroupResource, subresource string, handler rest.Storage) {
	path := resource.Resource
	if subresource != "" {
		path += "/" + subresource
	}
	if b.rest[resource.Group] == nil {
		b.rest[resource.Group] = map[string]rest.Storage{}
	}
	if b.rest[resource.Group][path] != nil {
		b.fail(fmt.Errorf("%s of group %q is declared twice", path, resource.Group))
	}
	b.rest[resource.Group][path] = handler
}

func (b *Builder) serve(s Served) {
	b.served = append(b.served, s)
	b.Add(s.GroupResource, "", s.Storage)
}

func (b *Builder) fail(err error) { b.err = errors.Join(b.err, err) }

// Complete connects every declared resource to etcd, and begins to fill the watch caches. It returns the errors of the
// declarations too.
func (b *Builder) Complete(etcd *store.Store) error {
	if b.err != nil {
		return b.err
	}
	var errs []error
	for _, complete := range b.complete {
		errs = append(errs, complete(backend{schemes: b.schemes, etcd: etcd}))
	}
	return errors.Join(errs...)
}

// Install makes the server answer requests for all resources.
func (b *Builder) Install(server *genericapiserver.GenericAPIServer) error {
	for _, gv := range b.groups {
		if len(b.rest[gv.Group]) == 0 {
			continue // other groups use its types
		}
		info := genericapiserver.NewDefaultAPIGroupInfo(gv.Group, b.schemes.Types, b.schemes.Parameters, b.schemes.Codecs)
		info.VersionedResourcesStorageMap[gv.Version] = b.rest[gv.Group]
		install := server.InstallAPIGroup
		if gv.Group == "" {
			install = func(info *genericapiserver.APIGroupInfo) error {
				return server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, info)
			}
		}
		if err := install(&info); err != nil {
			return fmt.Errorf("installing the API group %q: %w", gv.Group, err)
		}
	}
	return nil
}

// WaitForCaches returns when every watch cache has been filled, or with the error of ctx. It polls faster than the
// library's own hook: an empty cache is ready within two milliseconds.
func (b *Builder) WaitForCaches(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, s := range b.stores {
		for s.ReadinessCheckFunc() != nil {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
		}
	}
	return nil
}
