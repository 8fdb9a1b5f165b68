package access

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// Changes are the writes that a caller should make. An object without a resourceVersion is to be created, an object
// with one is to be updated.
type Changes struct {
	Unbind   []string // cluster role bindings to delete first, since the role of a binding cannot change
	Roles    []rbacv1.ClusterRole
	Bindings []rbacv1.ClusterRoleBinding
}

// Absent returns the built-in roles and bindings, and the extra roles, that do not exist.
func Absent(have Objects, extra ...rbacv1.ClusterRole) Changes {
	all := Reconcile(have, extra...)
	var absent Changes
	for _, r := range all.Roles {
		if r.ResourceVersion == "" {
			absent.Roles = append(absent.Roles, r)
		}
	}
	for _, b := range all.Bindings {
		if b.ResourceVersion == "" && !slices.Contains(all.Unbind, b.Name) {
			absent.Bindings = append(absent.Bindings, b)
		}
	}
	return absent
}

// Reconcile returns what a server should write when it starts, as upstream does: missing built-in roles and
// bindings, and missing permissions and subjects of existing ones. Permissions that an administrator added stay. An
// object with the annotation rbac.authorization.kubernetes.io/autoupdate "false" is not changed. extra roles are
// treated like built-in ones.
func Reconcile(have Objects, extra ...rbacv1.ClusterRole) Changes {
	var c Changes
	for _, want := range slices.Concat(builtinRoles(), extra) {
		i := slices.IndexFunc(have.ClusterRoles, func(r rbacv1.ClusterRole) bool { return r.Name == want.Name })
		if i < 0 {
			c.Roles = append(c.Roles, want)
		} else if updated := completeRole(&have.ClusterRoles[i], &want); updated != nil {
			c.Roles = append(c.Roles, *updated)
		}
	}
	aggregateNew(c.Roles, have.ClusterRoles)
	for _, want := range builtinBindings() {
		i := slices.IndexFunc(have.ClusterRoleBindings, func(b rbacv1.ClusterRoleBinding) bool { return b.Name == want.Name })
		if i < 0 {
			c.Bindings = append(c.Bindings, want)
			continue
		}
		updated, otherRole := completeBinding(&have.ClusterRoleBindings[i], &want)
		if otherRole {
			c.Unbind = append(c.Unbind, want.Name)
		}
		if updated != nil {
			c.Bindings = append(c.Bindings, *updated)
		}
	}
	return c
}

// completeRole returns have with the permissions of want that it lacks, or nil if nothing is to be changed.
func completeRole(have, want *rbacv1.ClusterRole) *rbacv1.ClusterRole {
	updated := have.DeepCopy()
	if !completeMeta(&updated.ObjectMeta, &want.ObjectMeta) {
		return nil
	}
	if _, missing := validation.Covers(have.Rules, want.Rules); len(missing) > 0 {
		updated.Rules = append(updated.Rules, compact(missing)...)
	}
	if want.AggregationRule != nil {
		completeAggregation(updated, want.AggregationRule)
	}
	if apiequality.Semantic.DeepEqual(have, updated) {
		return nil
	}
	return updated
}

func completeAggregation(role *rbacv1.ClusterRole, want *rbacv1.AggregationRule) {
	if role.AggregationRule == nil {
		role.AggregationRule = &rbacv1.AggregationRule{}
	}
	for _, selector := range want.ClusterRoleSelectors {
		has := slices.ContainsFunc(role.AggregationRule.ClusterRoleSelectors, func(s metav1.LabelSelector) bool {
			return apiequality.Semantic.DeepEqual(s, selector)
		})
		if !has {
			role.AggregationRule.ClusterRoleSelectors = append(role.AggregationRule.ClusterRoleSelectors, selector)
		}
	}
}

// completeBinding returns have with the subjects of want that it lacks, or nil if nothing is to be changed. If have
// refers to another role, it returns want and otherRole true.
func completeBinding(have, want *rbacv1.ClusterRoleBinding) (updated *rbacv1.ClusterRoleBinding, otherRole bool) {
	updated = have.DeepCopy()
	if !completeMeta(&updated.ObjectMeta, &want.ObjectMeta) {
		return nil, false
	}
	if have.RoleRef != want.RoleRef {
		return want, true
	}
	for _, s := range want.Subjects {
		if !slices.Contains(updated.Subjects, s) {
			updated.Subjects = append(updated.Subjects, s)
		}
	}
	if apiequality.Semantic.DeepEqual(have, updated) {
		return nil, false
	}
	return updated, false
}

// completeMeta adds missing labels and annotations. It returns false if the annotation turns reconciliation off.
func completeMeta(have, want *metav1.ObjectMeta) bool {
	if have.Annotations[annotationAutoUpdate] == "false" {
		return false
	}
	have.Labels = union(want.Labels, have.Labels)
	have.Annotations = union(want.Annotations, have.Annotations)
	return true
}

// union returns the entries of both maps; the value in b wins.
func union(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}
