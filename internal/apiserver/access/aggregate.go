package access

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Aggregate returns the roles whose rules differ from those of the roles they aggregate, with the rules that they
// should have. This is the work of upstream's clusterrole-aggregation controller. A role that aggregates a returned
// role needs another call.
func Aggregate(roles []rbacv1.ClusterRole) []rbacv1.ClusterRole {
	var changed []rbacv1.ClusterRole
	for i := range roles {
		if roles[i].AggregationRule == nil {
			continue
		}
		rules := aggregateRules(&roles[i], roles)
		if apiequality.Semantic.DeepEqual(rules, roles[i].Rules) {
			continue
		}
		updated := roles[i].DeepCopy()
		updated.Rules = rules
		changed = append(changed, *updated)
	}
	return changed
}

// aggregateRules returns the rules of the roles that one selects, each rule once, ordered by selector and then by
// name.
func aggregateRules(one *rbacv1.ClusterRole, roles []rbacv1.ClusterRole) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for i := range one.AggregationRule.ClusterRoleSelectors {
		for _, r := range selected(&one.AggregationRule.ClusterRoleSelectors[i], roles) {
			if r.Name == one.Name {
				continue
			}
			for _, rule := range r.Rules {
				known := slices.ContainsFunc(rules, func(k rbacv1.PolicyRule) bool {
					return apiequality.Semantic.DeepEqual(k, rule)
				})
				if !known {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules
}

func selected(by *metav1.LabelSelector, roles []rbacv1.ClusterRole) []*rbacv1.ClusterRole {
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil {
		return nil // validation refuses such a role
	}
	var out []*rbacv1.ClusterRole
	for i := range roles {
		if selector.Matches(labels.Set(roles[i].Labels)) {
			out = append(out, &roles[i])
		}
	}
	slices.SortFunc(out, func(a, b *rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// aggregateNew fills in the rules of aggregating roles in fresh that are about to be created, so that they need no
// second write. have is the list of existing roles.
func aggregateNew(fresh, have []rbacv1.ClusterRole) {
	for range len(fresh) { // view goes into edit, and edit into admin: one round for each step
		all := slices.Concat(fresh, have)
		stable := true
		for _, updated := range Aggregate(all) {
			i := slices.IndexFunc(fresh, func(r rbacv1.ClusterRole) bool {
				return r.Name == updated.Name && r.ResourceVersion == ""
			})
			if i >= 0 {
				fresh[i].Rules, stable = updated.Rules, false
			}
		}
		if stable {
			return
		}
	}
}
