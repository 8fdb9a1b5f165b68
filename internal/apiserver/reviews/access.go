package reviews

import (
	"context"
	"errors"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func (r reviewer) selfAccess(ctx context.Context, client user.Info, q *authorizationv1.SelfSubjectAccessReview) error {
	q.Status = r.decide(ctx, actionOf(client, q.Spec.ResourceAttributes, q.Spec.NonResourceAttributes))
	return nil
}

func (r reviewer) access(ctx context.Context,
	spec *authorizationv1.SubjectAccessReviewSpec) authorizationv1.SubjectAccessReviewStatus {
	who := &user.DefaultInfo{Name: spec.User, UID: spec.UID, Groups: spec.Groups}
	if spec.Extra != nil {
		who.Extra = make(map[string][]string, len(spec.Extra))
		for key, values := range spec.Extra {
			who.Extra[key] = values
		}
	}
	return r.decide(ctx, actionOf(who, spec.ResourceAttributes, spec.NonResourceAttributes))
}

// selfRules lists the client's rules in one namespace. Like upstream, the answer has no spec.
func (r reviewer) selfRules(ctx context.Context, client user.Info, q *authorizationv1.SelfSubjectRulesReview) error {
	if q.Spec.Namespace == "" {
		return apierrors.NewBadRequest("no namespace on request")
	}
	resources, paths, incomplete, err := r.Rules.RulesFor(ctx, client, q.Spec.Namespace)
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    make([]authorizationv1.ResourceRule, 0, len(resources)), // never null in JSON
		NonResourceRules: make([]authorizationv1.NonResourceRule, 0, len(paths)),
		Incomplete:       incomplete,
	}
	for _, rule := range resources {
		status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: rule.GetVerbs(), APIGroups: rule.GetAPIGroups(), Resources: rule.GetResources(),
			ResourceNames: rule.GetResourceNames(),
		})
	}
	for _, rule := range paths {
		status.NonResourceRules = append(status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: rule.GetVerbs(),
			NonResourceURLs: rule.GetNonResourceURLs()})
	}
	if err != nil {
		status.EvaluationError = err.Error()
	}
	*q = authorizationv1.SelfSubjectRulesReview{Status: status}
	return nil
}

// decide asks the authorizer of all requests.
func (r reviewer) decide(ctx context.Context,
	action authorizer.AttributesRecord) authorizationv1.SubjectAccessReviewStatus {
	decision, reason, err := r.Authorizer.Authorize(ctx, action)
	return authorizationv1.SubjectAccessReviewStatus{
		Allowed:         decision == authorizer.DecisionAllow,
		Denied:          decision == authorizer.DecisionDeny,
		Reason:          reason,
		EvaluationError: evaluationError(err, action),
	}
}

// evaluationError describes what the decision ignores.
func evaluationError(err error, action authorizer.AttributesRecord) string {
	var all []string
	if err != nil {
		all = append(all, err.Error())
	}
	ignored := func(selector string, err error, understood int) {
		if err == nil {
			return
		}
		how := "ignored"
		if understood > 0 {
			how = "partially ignored"
		}
		all = append(all, fmt.Sprintf("spec.resourceAttributes.%s %s due to parse error", selector, how))
	}
	ignored("fieldSelector", action.FieldSelectorParsingErr, len(action.FieldSelectorRequirements))
	ignored("labelSelector", action.LabelSelectorParsingErr, len(action.LabelSelectorRequirements))
	return strings.Join(all, "; ")
}

// actionOf returns the action under review as the authorizer would see it. One of resource and other is not nil.
func actionOf(who user.Info, resource *authorizationv1.ResourceAttributes,
	other *authorizationv1.NonResourceAttributes) authorizer.AttributesRecord {
	if resource == nil {
		return authorizer.AttributesRecord{User: who, Verb: other.Verb, Path: other.Path}
	}
	action := authorizer.AttributesRecord{
		User: who, ResourceRequest: true, Verb: resource.Verb, Namespace: resource.Namespace, Name: resource.Name,
		APIGroup: resource.Group, APIVersion: resource.Version, Resource: resource.Resource,
		Subresource: resource.Subresource,
	}
	if action.APIVersion == "" {
		action.APIVersion = "*"
	}
	if s := resource.FieldSelector; s != nil {
		action.FieldSelectorRequirements, action.FieldSelectorParsingErr = fieldRequirements(s)
	}
	if s := resource.LabelSelector; s != nil {
		action.LabelSelectorRequirements, action.LabelSelectorParsingErr = labelRequirements(s)
	}
	return action
}

// Every requirement narrows the action, so a requirement that is not understood is left out: the decision is then about
// more objects, and never allows what would be denied.

func labelRequirements(s *authorizationv1.LabelSelectorAttributes) (labels.Requirements, error) {
	if s.RawSelector != "" {
		parsed, err := labels.Parse(s.RawSelector)
		if err != nil {
			return nil, err
		}
		requirements, _ := parsed.Requirements()
		return requirements, nil
	}
	operators := map[metav1.LabelSelectorOperator]selection.Operator{
		metav1.LabelSelectorOpIn: selection.In, metav1.LabelSelectorOpNotIn: selection.NotIn,
		metav1.LabelSelectorOpExists: selection.Exists, metav1.LabelSelectorOpDoesNotExist: selection.DoesNotExist,
	}
	var all labels.Requirements
	var errs []error
	for _, r := range s.Requirements {
		operator, known := operators[r.Operator]
		if !known {
			errs = append(errs, fmt.Errorf("%q is not a valid label selector operator", r.Operator))
			continue
		}
		requirement, err := labels.NewRequirement(r.Key, operator, r.Values)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, *requirement)
	}
	return all, errors.Join(errs...)
}

func fieldRequirements(s *authorizationv1.FieldSelectorAttributes) (fields.Requirements, error) {
	if s.RawSelector != "" {
		parsed, err := fields.ParseSelector(s.RawSelector)
		if err != nil {
			return nil, err
		}
		return parsed.Requirements(), nil
	}
	operators := map[metav1.FieldSelectorOperator]selection.Operator{ // those that a list request can express
		metav1.FieldSelectorOpIn: selection.Equals, metav1.FieldSelectorOpNotIn: selection.NotEquals,
	}
	var all fields.Requirements
	var errs []error
	for _, r := range s.Requirements {
		operator, known := operators[r.Operator]
		switch {
		case !known:
			errs = append(errs, fmt.Errorf("%q is not a field selector operator that requests can use", r.Operator))
		case len(r.Values) != 1:
			errs = append(errs, fmt.Errorf("a requirement of a field selector must have one value, not %d", len(r.Values)))
		default:
			all = append(all, fields.Requirement{Field: r.Key, Operator: operator, Value: r.Values[0]})
		}
	}
	return all, errors.Join(errs...)
}
