package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// ConfirmHeld returns nil if the user (who) holds all of rules in namespace; an empty namespace means the whole
// cluster. Only then may the user grant the rules to others. Otherwise the error lists the missing permissions in
// upstream's words, which other tools parse.
func (r *RBAC) ConfirmHeld(ctx context.Context, who user.Info, namespace string, rules []rbacv1.PolicyRule) error {
	held, notFound := r.Rules(ctx, who, namespace)
	covered, missing := validation.Covers(held, rules)
	if covered {
		return nil
	}
	lines := make([]string, 0, len(missing))
	for _, rule := range compact(missing) {
		lines = append(lines, brief(rule))
	}
	slices.Sort(lines)
	text := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
		who.GetName(), who.GetGroups(), strings.Join(slices.Compact(lines), "\n"))
	if notFound != nil {
		text += fmt.Sprintf("; resolution errors: %v", []error{notFound})
	}
	return fmt.Errorf("%s", text)
}

// compact joins rules about the same resources that differ only in their verb.
func compact(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for _, rule := range rules {
		i := slices.IndexFunc(out, func(o rbacv1.PolicyRule) bool {
			return len(rule.Resources) > 0 && slices.Equal(o.APIGroups, rule.APIGroups) &&
				slices.Equal(o.Resources, rule.Resources) && slices.Equal(o.ResourceNames, rule.ResourceNames)
		})
		if i < 0 {
			out = append(out, *rule.DeepCopy())
			continue
		}
		for _, verb := range rule.Verbs {
			if !slices.Contains(out[i].Verbs, verb) {
				out[i].Verbs = append(out[i].Verbs, verb)
			}
		}
	}
	return out
}

// brief renders a rule on one line, as upstream does.
func brief(r rbacv1.PolicyRule) string {
	var parts []string
	for _, part := range []struct {
		name   string
		values []string
	}{
		{"APIGroups", r.APIGroups}, {"Resources", r.Resources}, {"NonResourceURLs", r.NonResourceURLs},
		{"ResourceNames", r.ResourceNames}, {"Verbs", r.Verbs},
	} {
		if len(part.values) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%q", part.name, part.values))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
