package access

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// Changes are what should be written. An object without a resourceVersion is to be created, one with it to be updated.
type Changes struct {
	Unbind   []string // cluster role bindings to delete first: a binding cannot change its role
	Roles    []rbacv1.ClusterRole
	Bindings []rbacv1.ClusterRoleBinding
}

// Absent returns the built-in roles and bindings that are not there at all.
func Absent(have Objects) Changes {
	all := Reconcile(have)
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

// Reconcile returns what the start of a server should write, as upstream's does: built-in roles and bindings that are
// not there, and permissions and subjects that one of them lacks. What somebody added to one stays, and nothing of one
// changes whose annotation rbac.authorization.kubernetes.io/autoupdate is "false".
func Reconcile(have Objects) Changes {
	var c Changes
	for _, want := range builtinRoles() {
		i := slices.IndexFunc(have.ClusterRoles, func(r rbacv1.ClusterRole) bool { return r.Name == want.Name })
		if i < 0 {
			c.Roles = append(c.Roles, want)
		} else if better := completeRole(&have.ClusterRoles[i], &want); better != nil {
			c.Roles = append(c.Roles, *better)
		}
	}
	gatherNew(c.Roles, have.ClusterRoles)
	for _, want := range builtinBindings() {
		i := slices.IndexFunc(have.ClusterRoleBindings, func(b rbacv1.ClusterRoleBinding) bool { return b.Name == want.Name })
		if i < 0 {
			c.Bindings = append(c.Bindings, want)
			continue
		}
		better, ofOther := completeBinding(&have.ClusterRoleBindings[i], &want)
		if ofOther {
			c.Unbind = append(c.Unbind, want.Name)
		}
		if better != nil {
			c.Bindings = append(c.Bindings, *better)
		}
	}
	return c
}

// completeRole returns have with what it lacks of want, or nil if it lacks nothing or is not to be changed.
func completeRole(have, want *rbacv1.ClusterRole) *rbacv1.ClusterRole {
	better := have.DeepCopy()
	if !completeMeta(&better.ObjectMeta, &want.ObjectMeta) {
		return nil
	}
	if _, missing := validation.Covers(have.Rules, want.Rules); len(missing) > 0 {
		better.Rules = append(better.Rules, compact(missing)...)
	}
	if want.AggregationRule != nil {
		completeAggregation(better, want.AggregationRule)
	}
	if apiequality.Semantic.DeepEqual(have, better) {
		return nil
	}
	return better
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

// completeBinding returns have with the subjects it lacks of want, or nil if it lacks none or is not to be changed. If
// have is of another role, it returns a new binding instead.
func completeBinding(have, want *rbacv1.ClusterRoleBinding) (better *rbacv1.ClusterRoleBinding, ofOther bool) {
	better = have.DeepCopy()
	if !completeMeta(&better.ObjectMeta, &want.ObjectMeta) {
		return nil, false
	}
	if have.RoleRef != want.RoleRef {
		return want, true
	}
	for _, s := range want.Subjects {
		if !slices.Contains(better.Subjects, s) {
			better.Subjects = append(better.Subjects, s)
		}
	}
	if apiequality.Semantic.DeepEqual(have, better) {
		return nil, false
	}
	return better, false
}

// completeMeta adds the labels and annotations that have lacks; it returns false if somebody wants have left alone.
func completeMeta(have, want *metav1.ObjectMeta) bool {
	if have.Annotations[annotationAutoUpdate] == "false" {
		return false
	}
	have.Labels = union(want.Labels, have.Labels)
	have.Annotations = union(want.Annotations, have.Annotations)
	return true
}

// union has the entries of both; those of b count where both have one.
func union(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}
