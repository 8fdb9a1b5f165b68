package bootstrap

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"viaduct/internal/apiserver/access"
	"viaduct/internal/apiserver/resource"
)

// userRoles returns the roles that add the permissions of kinds to the built-in roles view, edit and admin.
func userRoles(served []resource.Served) []rbacv1.ClusterRole {
	rules := map[string][]rbacv1.PolicyRule{}
	add := func(role string, verbs []string, s resource.Served) {
		rules[role] = append(rules[role], rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{s.Group},
			Resources: []string{s.Resource}})
	}
	for _, s := range served {
		switch s.UserRoles {
		case resource.NoUserRoles:
		case resource.AdminWrites:
			add("admin", access.ReadAndWrite(), s)
		case resource.EditWrites:
			add("edit", access.ReadAndWrite(), s)
		case resource.ViewReads:
			add("view", access.Read(), s)
		case resource.ViewReadsEditWrites:
			add("view", access.Read(), s)
			add("edit", access.Write(), s)
		}
	}
	var roles []rbacv1.ClusterRole
	for _, to := range []string{"admin", "edit", "view"} {
		if len(rules[to]) > 0 {
			roles = append(roles, access.AggregatedInto(to, "viaduct:aggregate-to-"+to, rules[to]...))
		}
	}
	return roles
}
