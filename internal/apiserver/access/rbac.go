package access

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	rbacv1 "k8s.io/api/rbac/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// RBAC authorizes by the roles and bindings in the API, as
// https://kubernetes.io/docs/reference/access-authn-authz/rbac describes. An answer costs a few map lookups and the
// rules of the user's own roles; no list is copied. Requests wait until Run has listed the roles once.
type RBAC struct {
	index   atomic.Pointer[index]
	loaded  chan struct{} // closed when index is set for the first time
	once    sync.Once     // closes loaded
	changed chan struct{} // holds one value when the index has changed
}

var (
	_ authorizer.Authorizer   = &RBAC{}
	_ authorizer.RuleResolver = &RBAC{}
)

// NewRBAC returns an authorizer that has no roles yet.
func NewRBAC() *RBAC {
	return &RBAC{loaded: make(chan struct{}), changed: make(chan struct{}, 1)}
}

// Loaded is closed once the roles have been listed.
func (r *RBAC) Loaded() <-chan struct{} { return r.loaded }

// Changed receives a value after a change of any role or binding. Several changes may give one value.
func (r *RBAC) Changed() <-chan struct{} { return r.changed }

// Objects returns the roles and bindings in force. They must not be changed. It waits until they have been listed
// once, and returns an error only if ctx ends before.
func (r *RBAC) Objects(ctx context.Context) (Objects, error) {
	x, err := r.current(ctx)
	if err != nil {
		return Objects{}, err
	}
	return x.objects, nil
}

func (r *RBAC) publish(x *index) {
	r.index.Store(x)
	r.once.Do(func() { close(r.loaded) })
	select {
	case r.changed <- struct{}{}:
	default: // the previous change was not received yet
	}
}

func (r *RBAC) current(ctx context.Context) (*index, error) {
	if x := r.index.Load(); x != nil {
		return x, nil
	}
	select {
	case <-r.loaded:
		return r.index.Load(), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the roles: %w", ctx.Err())
	}
}

// Authorize implements authorizer.Authorizer. It allows or has no opinion. In the second case the reason names the
// roles that are bound to the user and do not exist.
func (r *RBAC) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	x, err := r.current(ctx)
	if err != nil {
		return authorizer.DecisionNoOpinion, "", err
	}
	allowed, reason := x.decide(a)
	if allowed {
		return authorizer.DecisionAllow, reason, nil
	}
	return authorizer.DecisionNoOpinion, reason, nil
}

// decide reports whether a is allowed, and by which binding.
func (x *index) decide(a authorizer.Attributes) (allowed bool, reason string) {
	who := a.GetUser()
	if who == nil {
		return false, ""
	}
	var missing []error
	x.visit(who, a.GetNamespace(), func(g grant) bool {
		if g.err != nil {
			missing = append(missing, g.err)
		}
		for i := range g.rules {
			if allows(&g.rules[i], a) {
				allowed, reason = true, fmt.Sprintf("RBAC: allowed by %s to %s", g.what, g.to)
				return false
			}
		}
		return true
	})
	if !allowed && len(missing) > 0 {
		reason = fmt.Sprintf("RBAC: %v", utilerrors.NewAggregate(missing))
	}
	return allowed, reason
}

// ConditionsAwareAuthorize implements authorizer.Authorizer.
func (r *RBAC) ConditionsAwareAuthorize(ctx context.Context,
	a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(r.Authorize(ctx, a))
}

// EvaluateConditions implements authorizer.Authorizer. This authorizer has no conditions.
func (*RBAC) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision,
	authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// Rules returns all rules of who in namespace; an empty namespace is for cluster-scoped requests. If roles that are
// bound to who do not exist, Rules returns an error beside the rules of the others.
func (r *RBAC) Rules(ctx context.Context, who user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	x, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	return x.rules(who, namespace)
}

func (x *index) rules(who user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	var missing []error
	seen := map[*bound]bool{}
	x.visit(who, namespace, func(g grant) bool {
		if seen[g.bound] {
			return true
		}
		seen[g.bound] = true
		rules = append(rules, g.rules...)
		if g.err != nil {
			missing = append(missing, g.err)
		}
		return true
	})
	return rules, utilerrors.NewAggregate(missing)
}

// RulesFor implements authorizer.RuleResolver. `kubectl auth can-i --list` shows its result.
func (r *RBAC) RulesFor(ctx context.Context, who user.Info, namespace string) ([]authorizer.ResourceRuleInfo,
	[]authorizer.NonResourceRuleInfo, bool, error) {
	rules, err := r.Rules(ctx, who, namespace)
	resources, paths := RuleInfos(rules)
	return resources, paths, false, err
}

// RuleInfos converts rules into those about resources and those about other paths.
func RuleInfos(rules []rbacv1.PolicyRule) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo) {
	var resources []authorizer.ResourceRuleInfo
	var paths []authorizer.NonResourceRuleInfo
	for _, rule := range rules {
		if len(rule.Resources) > 0 {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{
				Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames,
			})
		}
		if len(rule.NonResourceURLs) > 0 {
			paths = append(paths, &authorizer.DefaultNonResourceRuleInfo{Verbs: rule.Verbs,
				NonResourceURLs: rule.NonResourceURLs})
		}
	}
	return resources, paths
}
