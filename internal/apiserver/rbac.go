package apiserver

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/validation"
)

// rbacStores are the four resources that say who may do what.
type rbacStores struct {
	roles, roleBindings, clusterRoles, clusterRoleBindings *registry.Store
}

// installRBAC makes them; keep is told of each, and of what went wrong.
func installRBAC(b *builder, keep func(*registry.Store, error) *registry.Store) rbacStores {
	return rbacStores{
		roles:               keep(install(b, roleKind())),
		roleBindings:        keep(install(b, roleBindingKind())),
		clusterRoles:        keep(install(b, clusterRoleKind())),
		clusterRoleBindings: keep(install(b, clusterRoleBindingKind())),
	}
}

func roleKind() kind[*rbacv1.Role] {
	return kind[*rbacv1.Role]{
		resource: rbacv1.Resource("roles"), singular: "role",
		newObject:      func() *rbacv1.Role { return &rbacv1.Role{} },
		newList:        func() runtime.Object { return &rbacv1.RoleList{} },
		validate:       validation.ValidateRole,
		validateUpdate: validation.ValidateRoleUpdate,
		createOnUpdate: true,
		unconditional:  true,
	}
}

func roleBindingKind() kind[*rbacv1.RoleBinding] {
	return kind[*rbacv1.RoleBinding]{
		resource: rbacv1.Resource("rolebindings"), singular: "rolebinding",
		table:          printers.RoleBindings(),
		newObject:      func() *rbacv1.RoleBinding { return &rbacv1.RoleBinding{} },
		newList:        func() runtime.Object { return &rbacv1.RoleBindingList{} },
		validate:       validation.ValidateRoleBinding,
		validateUpdate: validation.ValidateRoleBindingUpdate,
		createOnUpdate: true,
		unconditional:  true,
	}
}

func clusterRoleKind() kind[*rbacv1.ClusterRole] {
	return kind[*rbacv1.ClusterRole]{
		resource: rbacv1.Resource("clusterroles"), singular: "clusterrole", clusterWide: true,
		newObject:      func() *rbacv1.ClusterRole { return &rbacv1.ClusterRole{} },
		newList:        func() runtime.Object { return &rbacv1.ClusterRoleList{} },
		validate:       validation.ValidateClusterRole,
		validateUpdate: validation.ValidateClusterRoleUpdate,
		createOnUpdate: true,
		unconditional:  true,
	}
}

func clusterRoleBindingKind() kind[*rbacv1.ClusterRoleBinding] {
	return kind[*rbacv1.ClusterRoleBinding]{
		resource: rbacv1.Resource("clusterrolebindings"), singular: "clusterrolebinding", clusterWide: true,
		table:          printers.ClusterRoleBindings(),
		newObject:      func() *rbacv1.ClusterRoleBinding { return &rbacv1.ClusterRoleBinding{} },
		newList:        func() runtime.Object { return &rbacv1.ClusterRoleBindingList{} },
		validate:       validation.ValidateClusterRoleBinding,
		validateUpdate: validation.ValidateClusterRoleBindingUpdate,
		createOnUpdate: true,
		unconditional:  true,
	}
}
