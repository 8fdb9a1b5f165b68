// Package kinds holds the API resources of this server, each as a resource.Kind in a file of its own, with what happens
// beside the storage of its objects: the allocation of addresses and ports for Services, the life of namespaces, the
// binding of Pods.
//
// To add a resource, write its Kind in a file here and add one line to plain. Types of an API group that is not served
// yet also need a resource.Group in groups.go, and OpenAPI models: add the package to the generator's list in
// ../openapi/doc.go.
package kinds

import (
	"log/slog"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"viaduct/internal/apiserver/allocation"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/store"
	"viaduct/internal/apiserver/validation"
)

// plain lists the kinds that the server itself neither reads nor writes.
func plain() []resource.Definition {
	return []resource.Definition{
		configMap(),
		lease(),
	}
}

// Config says what differs between servers. All fields are required, except NodePorts.
type Config struct {
	Etcd         *store.Store
	ServiceCIDRs []netip.Prefix       // the ranges of ClusterIPs: one, or one of each family, the primary first
	NodePorts    allocation.PortRange // the zero value: 30000-32767
	Rules        validation.Options
	Log          *slog.Logger
}

// Set is the declared kinds that the server itself reads or writes.
type Set struct {
	Namespaces     resource.Storage[*corev1.Namespace]
	Services       resource.Storage[*corev1.Service]
	Endpoints      resource.Storage[*corev1.Endpoints]
	EndpointSlices resource.Storage[*discoveryv1.EndpointSlice]
	Pods           resource.Storage[*corev1.Pod]
	Nodes          resource.Storage[*corev1.Node]
	Secrets        resource.Storage[*corev1.Secret]
	Accounts       resource.Storage[*corev1.ServiceAccount]
	RBAC           RBAC

	Allocation *Allocation
}

// RBAC is the four kinds of roles and bindings.
type RBAC struct {
	Roles               resource.Storage[*rbacv1.Role]
	RoleBindings        resource.Storage[*rbacv1.RoleBinding]
	ClusterRoles        resource.Storage[*rbacv1.ClusterRole]
	ClusterRoleBindings resource.Storage[*rbacv1.ClusterRoleBinding]
}

// Declare declares every kind of this package.
func Declare(b *resource.Builder, c Config) *Set {
	s := &Set{
		Namespaces:     resource.Declare(b, namespace()),
		Endpoints:      resource.Declare(b, endpoints(c.Rules)),
		EndpointSlices: resource.Declare(b, endpointSlice(c.Rules)),
		Pods:           resource.Declare(b, pod()),
		Nodes:          resource.Declare(b, node()),
		Secrets:        resource.Declare(b, secret()),
		Accounts:       resource.Declare(b, serviceAccount()),
	}
	events := resource.Declare(b, event())
	for _, k := range plain() {
		k.DeclareIn(b)
	}
	addresses, cidrs := resource.Declare(b, ipAddress()), resource.Declare(b, serviceCIDR())
	allocator := newAllocator(c, addresses, cidrs)
	s.Services = declareServices(b, allocator, s.Endpoints)
	s.Allocation = newAllocation(c, allocator, records{addresses: addresses, cidrs: cidrs, events: events}, s.Services)
	s.RBAC = RBAC{
		Roles:               resource.Declare(b, role()),
		RoleBindings:        resource.Declare(b, roleBinding()),
		ClusterRoles:        resource.Declare(b, clusterRole()),
		ClusterRoleBindings: resource.Declare(b, clusterRoleBinding()),
	}
	b.Add(corev1.Resource("pods"), "binding", &bindingREST{pods: s.Pods.Main})
	return s
}
