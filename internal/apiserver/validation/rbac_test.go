package validation

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func freshRole() *rbacv1.Role {
	return &rbacv1.Role{ObjectMeta: meta("ns"), Rules: []rbacv1.PolicyRule{{
		Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"},
	}}}
}

func TestRole(t *testing.T) {
	first := func(change func(*rbacv1.PolicyRule)) func(*rbacv1.Role) {
		return func(r *rbacv1.Role) { change(&r.Rules[0]) }
	}
	named := func(name string) func(*rbacv1.Role) { return func(r *rbacv1.Role) { r.Name = name } }
	rules(t, freshRole, nil, ValidateRole, []rule[*rbacv1.Role]{
		{"valid", nil, ""},
		{"no rules", func(r *rbacv1.Role) { r.Rules = nil }, ""},
		{"colons and capitals", named("system:Some@role"), ""},
		{"a slash in the name", named("a/b"), "Invalid metadata.name"},
		{"a percent sign in the name", named("a%b"), "Invalid metadata.name"},
		{"a dot for a name", named("."), "Invalid metadata.name"},
		{"no namespace", func(r *rbacv1.Role) { r.Namespace = "" }, "Required metadata.namespace"},
		{"no verbs", first(func(r *rbacv1.PolicyRule) { r.Verbs = nil }), "Required rules[0].verbs"},
		{"no groups", first(func(r *rbacv1.PolicyRule) { r.APIGroups = nil }), "Required rules[0].apiGroups"},
		{"no resources", first(func(r *rbacv1.PolicyRule) { r.Resources = nil }), "Required rules[0].resources"},
		{"names", first(func(r *rbacv1.PolicyRule) { r.ResourceNames = []string{"a"} }), ""},
		{"paths", first(func(r *rbacv1.PolicyRule) {
			*r = rbacv1.PolicyRule{Verbs: r.Verbs,
				NonResourceURLs: []string{"/x"}}
		}),
			"Invalid rules[0].nonResourceURLs"},
		{"nothing", first(func(r *rbacv1.PolicyRule) { *r = rbacv1.PolicyRule{} }),
			"Required rules[0].verbs\nRequired rules[0].apiGroups\nRequired rules[0].resources"},
	})
	changes(t, freshRole, nil, ValidateRoleUpdate, []change[*rbacv1.Role]{
		{"rules", nil, func(r *rbacv1.Role) { r.Rules = nil }, ""},
		{"name", nil, named("y"), "Invalid metadata.name"},
		{"to what is invalid", nil, first(func(r *rbacv1.PolicyRule) { r.Verbs = nil }), "Required rules[0].verbs"},
	})
}

func freshClusterRole() *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: meta(""), Rules: freshRole().Rules}
}

func TestClusterRole(t *testing.T) {
	gathers := func(selectors ...metav1.LabelSelector) func(*rbacv1.ClusterRole) {
		return func(r *rbacv1.ClusterRole) {
			r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: selectors}
		}
	}
	operator := func(op metav1.LabelSelectorOperator, values ...string) metav1.LabelSelector {
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: op,
			Values: values}}}
	}
	rules(t, freshClusterRole, nil, ValidateClusterRole, []rule[*rbacv1.ClusterRole]{
		{"valid", nil, ""},
		{"in a namespace", func(r *rbacv1.ClusterRole) { r.Namespace = "ns" }, "Forbidden metadata.namespace"},
		{"paths", func(r *rbacv1.ClusterRole) {
			r.Rules[0] = rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/x"}}
		}, ""},
		{"paths without a verb", func(r *rbacv1.ClusterRole) {
			r.Rules[0] = rbacv1.PolicyRule{NonResourceURLs: []string{"/x"}}
		}, "Required rules[0].verbs"},
		{"paths and resources", func(r *rbacv1.ClusterRole) { r.Rules[0].NonResourceURLs = []string{"/x"} },
			"Invalid rules[0].nonResourceURLs"},
		{"gathers all", gathers(metav1.LabelSelector{}), ""},
		{"gathers by nothing", gathers(), "Required aggregationRule.clusterRoleSelectors"},
		{"gathers by an invalid label", gathers(metav1.LabelSelector{MatchLabels: map[string]string{"a b": ""}}),
			"Invalid aggregationRule.clusterRoleSelectors[0]\nInvalid aggregationRule.clusterRoleSelectors[0].matchLabels"},
		{"gathers by an unknown operator", gathers(metav1.LabelSelector{}, operator("Near")),
			"Invalid aggregationRule.clusterRoleSelectors[1]\nInvalid " +
				"aggregationRule.clusterRoleSelectors[1].matchExpressions[0].operator"},
		{"gathers by no value", gathers(operator(metav1.LabelSelectorOpIn)),
			"Invalid aggregationRule.clusterRoleSelectors[0]\nRequired " +
				"aggregationRule.clusterRoleSelectors[0].matchExpressions[0].values"},
	})
	changes(t, freshClusterRole, nil, ValidateClusterRoleUpdate, []change[*rbacv1.ClusterRole]{
		{"to gather", nil, gathers(metav1.LabelSelector{}), ""},
		{"to gather nothing", nil, gathers(), "Required aggregationRule.clusterRoleSelectors"},
	})
}

func freshBinding() *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: meta("ns"), RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "r"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "ann"}},
	}
}

func TestRoleBinding(t *testing.T) {
	first := func(s rbacv1.Subject) func(*rbacv1.RoleBinding) {
		return func(b *rbacv1.RoleBinding) { b.Subjects[0] = s }
	}
	ref := func(group, kind, name string) func(*rbacv1.RoleBinding) {
		return func(b *rbacv1.RoleBinding) { b.RoleRef = rbacv1.RoleRef{APIGroup: group, Kind: kind, Name: name} }
	}
	rules(t, freshBinding, DefaultRoleBinding, ValidateRoleBinding, []rule[*rbacv1.RoleBinding]{
		{"valid", nil, ""},
		{"no subjects", func(b *rbacv1.RoleBinding) { b.Subjects = nil }, ""},
		{"a cluster role", ref("", "ClusterRole", "r"), ""},
		{"a role of another group", ref("example.com", "Role", "r"), "NotSupported roleRef.apiGroup"},
		{"a role of another kind", ref("", "Job", "r"), "NotSupported roleRef.kind"},
		{"no kind", ref("", "", "r"), "NotSupported roleRef.kind"},
		{"no name", ref("", "Role", ""), "Required roleRef.name"},
		{"a name with a slash", ref("", "Role", "a/b"), "Invalid roleRef.name"},
		{"a group", first(rbacv1.Subject{Kind: "Group", Name: "dev"}), ""},
		{"a user of no name", first(rbacv1.Subject{Kind: "User"}), "Required subjects[0].name\nInvalid subjects[0].name"},
		{"a group of no name", first(rbacv1.Subject{Kind: "Group"}), "Required subjects[0].name\nInvalid subjects[0].name"},
		{"a user of another group", first(rbacv1.Subject{APIGroup: "example.com", Kind: "User", Name: "a"}),
			"NotSupported subjects[0].apiGroup"},
		{"a service account", first(rbacv1.Subject{Kind: "ServiceAccount", Name: "ci"}), ""},
		{"a service account of a group", first(rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "ServiceAccount",
			Name: "ci"}),
			"NotSupported subjects[0].apiGroup"},
		{"a service account of a malformed name", first(rbacv1.Subject{Kind: "ServiceAccount", Name: "a:b"}),
			"Invalid subjects[0].name"},
		{"a service account of no name", first(rbacv1.Subject{Kind: "ServiceAccount"}), "Required subjects[0].name"},
		{"of no kind", first(rbacv1.Subject{Name: "a"}), "NotSupported subjects[0].kind"},
		{"the second", func(b *rbacv1.RoleBinding) { b.Subjects = append(b.Subjects, rbacv1.Subject{Kind: "x"}) },
			"Required subjects[1].name\nNotSupported subjects[1].kind"},
	})
	changes(t, freshBinding, DefaultRoleBinding, ValidateRoleBindingUpdate, []change[*rbacv1.RoleBinding]{
		{"subjects", nil, func(b *rbacv1.RoleBinding) { b.Subjects = nil }, ""},
		{"the role", nil, ref(rbacv1.GroupName, "Role", "other"), "Invalid roleRef"},
		{"the role's kind", nil, ref(rbacv1.GroupName, "ClusterRole", "r"), "Invalid roleRef"},
	})
}

func TestClusterRoleBinding(t *testing.T) {
	fresh := func() *rbacv1.ClusterRoleBinding {
		b := freshBinding()
		return &rbacv1.ClusterRoleBinding{ObjectMeta: meta(""), RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "r"},
			Subjects: b.Subjects}
	}
	rules(t, fresh, DefaultClusterRoleBinding, ValidateClusterRoleBinding, []rule[*rbacv1.ClusterRoleBinding]{
		{"valid", nil, ""},
		{"a role of a namespace", func(b *rbacv1.ClusterRoleBinding) { b.RoleRef.Kind = "Role" },
			"NotSupported roleRef.kind"},
		{"a service account", func(b *rbacv1.ClusterRoleBinding) {
			b.Subjects[0] = rbacv1.Subject{Kind: "ServiceAccount", Name: "ci", Namespace: "build"}
		}, ""},
		{"a service account of no namespace", func(b *rbacv1.ClusterRoleBinding) {
			b.Subjects[0] = rbacv1.Subject{Kind: "ServiceAccount", Name: "ci"}
		}, "Required subjects[0].namespace"},
	})
	changes(t, fresh, DefaultClusterRoleBinding, ValidateClusterRoleBindingUpdate, []change[*rbacv1.ClusterRoleBinding]{
		{"the role", nil, func(b *rbacv1.ClusterRoleBinding) { b.RoleRef.Name = "other" }, "Invalid roleRef"},
	})
}

func FuzzRoleBinding(f *testing.F) {
	fuzz(f, rulesOf[*rbacv1.RoleBinding]{
		empty: func() *rbacv1.RoleBinding { return &rbacv1.RoleBinding{} },
		fill:  DefaultRoleBinding, check: ValidateRoleBinding,
		updates: []func(now, old *rbacv1.RoleBinding) field.ErrorList{ValidateRoleBindingUpdate},
	}, freshBinding())
}

func FuzzClusterRole(f *testing.F) {
	fuzz(f, rulesOf[*rbacv1.ClusterRole]{
		empty: func() *rbacv1.ClusterRole { return &rbacv1.ClusterRole{} },
		check: ValidateClusterRole, updates: []func(now, old *rbacv1.ClusterRole) field.ErrorList{ValidateClusterRoleUpdate},
	}, freshClusterRole())
}
