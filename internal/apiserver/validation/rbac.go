package validation

import (
	rbacv1 "k8s.io/api/rbac/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The kinds of roles that a binding may refer to.
const (
	kindRole        = "Role"
	kindClusterRole = "ClusterRole"
)

// DefaultRoleBinding fills in the API groups of the role and of the subjects.
func DefaultRoleBinding(binding *rbacv1.RoleBinding) {
	defaultTo(&binding.RoleRef.APIGroup, rbacv1.GroupName)
	defaultSubjects(binding.Subjects)
}

// DefaultClusterRoleBinding fills in the API groups of the role and of the subjects.
func DefaultClusterRoleBinding(binding *rbacv1.ClusterRoleBinding) {
	defaultTo(&binding.RoleRef.APIGroup, rbacv1.GroupName)
	defaultSubjects(binding.Subjects)
}

// defaultSubjects sets the API group of users and groups, which are not objects. That of a ServiceAccount is empty.
func defaultSubjects(subjects []rbacv1.Subject) {
	for i := range subjects {
		if kind := subjects[i].Kind; kind == rbacv1.UserKind || kind == rbacv1.GroupKind {
			defaultTo(&subjects[i].APIGroup, rbacv1.GroupName)
		}
	}
}

// ValidateRole checks a role, new or changed.
func ValidateRole(role *rbacv1.Role) field.ErrorList {
	return concat(newMeta(&role.ObjectMeta, namespaced, pathSegment), policyRules(role.Rules, namespaced))
}

// ValidateRoleUpdate checks the change from old to role.
func ValidateRoleUpdate(role, old *rbacv1.Role) field.ErrorList {
	return concat(ValidateRole(role), changedMeta(&role.ObjectMeta, &old.ObjectMeta))
}

// ValidateClusterRole checks a cluster role, new or changed.
func ValidateClusterRole(role *rbacv1.ClusterRole) field.ErrorList {
	return concat(newMeta(&role.ObjectMeta, clusterWide, pathSegment), policyRules(role.Rules, clusterWide),
		aggregation(role.AggregationRule))
}

// ValidateClusterRoleUpdate checks the change from old to role.
func ValidateClusterRoleUpdate(role, old *rbacv1.ClusterRole) field.ErrorList {
	return concat(ValidateClusterRole(role), changedMeta(&role.ObjectMeta, &old.ObjectMeta))
}

// ValidateRoleBinding checks a binding, new or changed.
func ValidateRoleBinding(binding *rbacv1.RoleBinding) field.ErrorList {
	return concat(newMeta(&binding.ObjectMeta, namespaced, pathSegment),
		roleRef(binding.RoleRef, kindRole, kindClusterRole), subjects(binding.Subjects, namespaced))
}

// ValidateRoleBindingUpdate checks the change from old to binding. A binding keeps its role: a user who may edit its
// subjects must not grant another role by that.
func ValidateRoleBindingUpdate(binding, old *rbacv1.RoleBinding) field.ErrorList {
	return concat(ValidateRoleBinding(binding), changedMeta(&binding.ObjectMeta, &old.ObjectMeta),
		sameRole(binding.RoleRef, old.RoleRef))
}

// ValidateClusterRoleBinding checks a cluster role binding, new or changed.
func ValidateClusterRoleBinding(binding *rbacv1.ClusterRoleBinding) field.ErrorList {
	return concat(newMeta(&binding.ObjectMeta, clusterWide, pathSegment),
		roleRef(binding.RoleRef, kindClusterRole), subjects(binding.Subjects, clusterWide))
}

// ValidateClusterRoleBindingUpdate checks the change from old to binding, which must keep its role.
func ValidateClusterRoleBindingUpdate(binding, old *rbacv1.ClusterRoleBinding) field.ErrorList {
	return concat(ValidateClusterRoleBinding(binding), changedMeta(&binding.ObjectMeta, &old.ObjectMeta),
		sameRole(binding.RoleRef, old.RoleRef))
}

// pathSegment is the syntax of role names: any path segment, so that names may have colons and capitals.
func pathSegment(name string, prefix bool) []string {
	if prefix {
		return path.IsValidPathSegmentPrefix(name)
	}
	return path.IsValidPathSegmentName(name)
}

func policyRules(rules []rbacv1.PolicyRule, inNamespace bool) field.ErrorList {
	var errs field.ErrorList
	for i, rule := range rules {
		path := field.NewPath("rules").Index(i)
		if len(rule.Verbs) == 0 {
			errs = append(errs, field.Required(path.Child("verbs"), "a rule needs at least one verb"))
		}
		if len(rule.NonResourceURLs) > 0 {
			errs = append(errs, urlRule(rule, inNamespace, path.Child("nonResourceURLs"))...)
			continue
		}
		if len(rule.APIGroups) == 0 {
			errs = append(errs, field.Required(path.Child("apiGroups"), "a rule about resources needs at least one API group"))
		}
		if len(rule.Resources) == 0 {
			errs = append(errs, field.Required(path.Child("resources"), "a rule about resources needs at least one of them"))
		}
	}
	return errs
}

// urlRule checks a rule about non-resource URLs, which have no namespace.
func urlRule(rule rbacv1.PolicyRule, inNamespace bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if inNamespace {
		errs = append(errs, field.Invalid(path, rule.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
	}
	if len(rule.APIGroups)+len(rule.Resources)+len(rule.ResourceNames) > 0 {
		errs = append(errs, field.Invalid(path, rule.NonResourceURLs, "rules cannot apply to both regular resources and "+
			"non-resource URLs"))
	}
	return errs
}

func aggregation(rule *rbacv1.AggregationRule) field.ErrorList {
	if rule == nil {
		return nil
	}
	path := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(rule.ClusterRoleSelectors) == 0 {
		return field.ErrorList{field.Required(path, "an aggregation rule needs at least one selector")}
	}
	var errs field.ErrorList
	for i, selector := range rule.ClusterRoleSelectors {
		errs = append(errs, metavalidation.ValidateLabelSelector(&selector, metavalidation.LabelSelectorValidationOptions{},
			path.Index(i))...)
		if _, err := metav1.LabelSelectorAsSelector(&selector); err != nil {
			errs = append(errs, field.Invalid(path.Index(i), selector, "invalid label selector."))
		}
	}
	return errs
}

func roleRef(ref rbacv1.RoleRef, kinds ...string) field.ErrorList {
	at := field.NewPath("roleRef")
	var errs field.ErrorList
	if ref.APIGroup != rbacv1.GroupName {
		errs = append(errs, field.NotSupported(at.Child("apiGroup"), ref.APIGroup, []string{rbacv1.GroupName}))
	}
	return concat(errs, oneOf(at.Child("kind"), ref.Kind, kinds...), requiredName(at.Child("name"), ref.Name,
		path.IsValidPathSegmentName))
}

func sameRole(ref, old rbacv1.RoleRef) field.ErrorList {
	if ref == old {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("roleRef"), ref, "cannot change roleRef")}
}

func subjects(list []rbacv1.Subject, inNamespace bool) field.ErrorList {
	var errs field.ErrorList
	for i, s := range list {
		errs = append(errs, subject(s, inNamespace, field.NewPath("subjects").Index(i))...)
	}
	return errs
}

// subject checks one subject of a binding. Only a RoleBinding implies the namespace of a ServiceAccount.
func subject(s rbacv1.Subject, inNamespace bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	group := rbacv1.GroupName
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		group = ""
		if s.Name != "" {
			errs = append(errs, invalid(path.Child("name"), s.Name, apivalidation.ValidateServiceAccountName(s.Name, false))...)
		}
		if !inNamespace && s.Namespace == "" {
			errs = append(errs, field.Required(path.Child("namespace"), ""))
		}
	case rbacv1.UserKind, rbacv1.GroupKind:
		if s.Name == "" {
			errs = append(errs, field.Invalid(path.Child("name"), s.Name, "the name of a user or a group cannot be empty"))
		}
	default:
		kinds := []string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}
		return append(errs, field.NotSupported(path.Child("kind"), s.Kind, kinds))
	}
	if s.APIGroup != group {
		errs = append(errs, field.NotSupported(path.Child("apiGroup"), s.APIGroup, []string{group}))
	}
	return errs
}
