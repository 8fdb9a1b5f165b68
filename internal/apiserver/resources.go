package apiserver

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"viaduct/internal/apiserver/validation"
)

// builder collects the storage of every resource, by API group.
type builder struct {
	schemes *schemes
	storage *storageFactory
	rest    restByGroup
}

// restByGroup maps group → resource or resource/subresource → storage.
type restByGroup map[string]map[string]rest.Storage

func (b *builder) add(resource schema.GroupResource, subresource string, storage rest.Storage) {
	path := resource.Resource
	if subresource != "" {
		path += "/" + subresource
	}
	if b.rest[resource.Group] == nil {
		b.rest[resource.Group] = map[string]rest.Storage{}
	}
	b.rest[resource.Group][path] = storage
}

// stores are the resources that the server itself reads or writes.
type stores struct {
	namespaces, services, endpoints, slices *registry.Store
	addresses, cidrs, cidrsStatus, events   *registry.Store
	pods, nodes, secrets, accounts          *registry.Store
	rbac                                    rbacStores
	all                                     []*registry.Store
}

// buildStores makes the storage of every served resource: the one list of them.
func buildStores(b *builder, rules validation.Options, hooks *serviceHooks) (*stores, error) {
	var s stores
	var errs []error
	keep := func(store *registry.Store, err error) *registry.Store {
		errs = append(errs, err)
		if err == nil {
			s.all = append(s.all, store)
		}
		return store
	}
	s.namespaces = keep(install(b, namespaceKind()))
	s.endpoints = keep(install(b, endpointsKind(rules)))
	s.slices = keep(install(b, endpointSliceKind(rules)))
	hooks.endpoints = s.endpoints
	s.services = keep(install(b, serviceKind(hooks.attach)))
	s.pods = keep(install(b, podKind()))
	s.nodes = keep(install(b, nodeKind()))
	keep(install(b, configMapKind()))
	s.secrets = keep(install(b, secretKind()))
	s.accounts = keep(install(b, serviceAccountKind()))
	s.events = keep(install(b, eventKind()))
	keep(install(b, leaseKind()))
	s.addresses = keep(install(b, ipAddressKind(hooks.addressDeleted)))
	s.cidrs = keep(install(b, serviceCIDRKind()))
	s.rbac = installRBAC(b, keep)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.cidrsStatus = b.rest[networkingv1.GroupName]["servicecidrs/status"].(*statusREST).store
	services := b.rest[corev1.GroupName]["services"].(*resourceREST)
	b.add(corev1.Resource("services"), "", &serviceREST{services})
	namespaces := b.rest[corev1.GroupName]["namespaces"].(*resourceREST)
	b.add(corev1.Resource("namespaces"), "", &namespaceREST{namespaces, s.namespaces})
	installFinalize(b, s.namespaces)
	b.add(corev1.Resource("pods"), "binding", &bindingREST{pods: s.pods})
	proxied := &backends{services: s.services, endpoints: s.endpoints, pods: s.pods, allowLoopback: rules.AllowLoopback}
	proxied.install(b)
	return &s, nil
}

// installGroups makes the server answer for what the builder collected.
func (b *builder) installGroups(server *genericapiserver.GenericAPIServer) error {
	for _, gv := range servedGroups() {
		if len(b.rest[gv.Group]) == 0 {
			continue // its types are only part of what others serve
		}
		info := genericapiserver.NewDefaultAPIGroupInfo(gv.Group, b.schemes.types, b.schemes.parameters, b.schemes.codecs)
		info.VersionedResourcesStorageMap[gv.Version] = b.rest[gv.Group]
		var err error
		if gv.Group == "" {
			err = server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, &info)
		} else {
			err = server.InstallAPIGroup(&info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Short names for what the handlers of single resources need from the storage layer.

type storageMeta = storage.ResponseMeta

func withNamespace(ctx context.Context, namespace string) context.Context {
	return apirequest.WithNamespace(ctx, namespace)
}

// storeError is the API's answer to an error of an update.
func storeError(err error, resource schema.GroupResource, name string) error {
	return storeerr.InterpretUpdateError(err, resource, name)
}
