package kinds

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

func role() resource.Kind[*rbacv1.Role] {
	return resource.Kind[*rbacv1.Role]{
		Group: rbacGroup,
		Names: resource.Names{Plural: "roles", Singular: "role"},
		Rules: resource.Rules[*rbacv1.Role]{
			Validate: validation.ValidateRole, ValidateUpdate: validation.ValidateRoleUpdate,
			AllowCreateOnUpdate: true, AllowUnconditionalUpdate: true,
		},
	}
}

func roleBinding() resource.Kind[*rbacv1.RoleBinding] {
	return resource.Kind[*rbacv1.RoleBinding]{
		Group: rbacGroup,
		Names: resource.Names{Plural: "rolebindings", Singular: "rolebinding"},
		Rules: resource.Rules[*rbacv1.RoleBinding]{
			Default:  validation.DefaultRoleBinding,
			Validate: validation.ValidateRoleBinding, ValidateUpdate: validation.ValidateRoleBindingUpdate,
			AllowCreateOnUpdate: true, AllowUnconditionalUpdate: true,
		},
		Serving: resource.Serving{Table: printers.RoleBindings()},
	}
}

func clusterRole() resource.Kind[*rbacv1.ClusterRole] {
	return resource.Kind[*rbacv1.ClusterRole]{
		Group:         rbacGroup,
		Names:         resource.Names{Plural: "clusterroles", Singular: "clusterrole"},
		ClusterScoped: true,
		Rules: resource.Rules[*rbacv1.ClusterRole]{
			Validate: validation.ValidateClusterRole, ValidateUpdate: validation.ValidateClusterRoleUpdate,
			AllowCreateOnUpdate: true, AllowUnconditionalUpdate: true,
		},
	}
}

func clusterRoleBinding() resource.Kind[*rbacv1.ClusterRoleBinding] {
	return resource.Kind[*rbacv1.ClusterRoleBinding]{
		Group:         rbacGroup,
		Names:         resource.Names{Plural: "clusterrolebindings", Singular: "clusterrolebinding"},
		ClusterScoped: true,
		Rules: resource.Rules[*rbacv1.ClusterRoleBinding]{
			Default:  validation.DefaultClusterRoleBinding,
			Validate: validation.ValidateClusterRoleBinding, ValidateUpdate: validation.ValidateClusterRoleBindingUpdate,
			AllowCreateOnUpdate: true, AllowUnconditionalUpdate: true,
		},
		Serving: resource.Serving{Table: printers.ClusterRoleBindings()},
	}
}
