package access

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// allows reports whether one rule alone allows a. Rules only add permissions; no rule takes a permission away.
func allows(rule *rbacv1.PolicyRule, a authorizer.Attributes) bool {
	if !holds(rule.Verbs, a.GetVerb(), rbacv1.VerbAll) {
		return false
	}
	if !a.IsResourceRequest() {
		return slices.ContainsFunc(rule.NonResourceURLs, func(pattern string) bool {
			return matchesPath(pattern, a.GetPath())
		})
	}
	return holds(rule.APIGroups, a.GetAPIGroup(), rbacv1.APIGroupAll) &&
		holdsResource(rule.Resources, a.GetResource(), a.GetSubresource()) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.GetName()))
}

func holds(list []string, value, all string) bool {
	return slices.Contains(list, value) || slices.Contains(list, all)
}

// holdsResource reports whether list has a resource by its name, or a subresource as resource/subresource or
// */subresource. The entry "*" matches both.
func holdsResource(list []string, resource, subresource string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		if entry == rbacv1.ResourceAll || subresource == "" {
			return entry == rbacv1.ResourceAll || entry == resource
		}
		of, sub, ok := strings.Cut(entry, "/")
		return ok && sub == subresource && (of == resource || of == "*")
	})
}

// matchesPath compares a path with a pattern. A trailing "*" in the pattern matches any rest.
func matchesPath(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, strings.TrimRight(prefix, "*"))
	}
	return pattern == path
}
