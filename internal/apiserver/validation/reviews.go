package validation

import (
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateSelfSubjectAccessReview checks a review of the requester's own access.
func ValidateSelfSubjectAccessReview(review *authorizationv1.SelfSubjectAccessReview) field.ErrorList {
	spec := &review.Spec
	return concat(
		oneAction(spec.ResourceAttributes, spec.NonResourceAttributes),
		emptyMeta(review.ObjectMeta, "must be empty"),
	)
}

// ValidateSubjectAccessReview checks a review of the access of any user.
func ValidateSubjectAccessReview(review *authorizationv1.SubjectAccessReview) field.ErrorList {
	return concat(accessQuestion(&review.Spec), emptyMeta(review.ObjectMeta, "must be empty"))
}

// ValidateLocalSubjectAccessReview checks a review of the access of any user in the namespace of the review.
func ValidateLocalSubjectAccessReview(review *authorizationv1.LocalSubjectAccessReview) field.ErrorList {
	meta := review.ObjectMeta
	meta.Namespace = ""
	errs := concat(accessQuestion(&review.Spec), emptyMeta(meta, "must be empty except for namespace"))
	if r := review.Spec.ResourceAttributes; r != nil && r.Namespace != review.Namespace {
		errs = append(errs, field.Invalid(field.NewPath("spec", "resourceAttributes", "namespace"), r.Namespace,
			"must match metadata.namespace"))
	}
	if n := review.Spec.NonResourceAttributes; n != nil {
		errs = append(errs, field.Invalid(field.NewPath("spec", "nonResourceAttributes"), n,
			"disallowed on this kind of request"))
	}
	return errs
}

func accessQuestion(spec *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := oneAction(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "user"), spec.User,
			"at least one of user or group must be specified"))
	}
	return errs
}

// oneAction checks that a review asks about exactly one action.
func oneAction(resource *authorizationv1.ResourceAttributes,
	other *authorizationv1.NonResourceAttributes) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	switch {
	case resource != nil && other != nil:
		errs = append(errs, field.Invalid(path.Child("nonResourceAttributes"), other,
			"cannot be specified in combination with resourceAttributes"))
	case resource == nil && other == nil:
		errs = append(errs, field.Invalid(path.Child("resourceAttributes"), other, "exactly one of nonResourceAttributes "+
			"or resourceAttributes must be specified"))
	}
	if resource == nil {
		return errs
	}
	path = path.Child("resourceAttributes")
	return concat(errs,
		fieldSelectorQuestion(resource.FieldSelector, path.Child("fieldSelector")),
		labelSelectorQuestion(resource.LabelSelector, path.Child("labelSelector")),
	)
}

// An unknown operator is accepted, since a webhook of a later version may ask for its own clients. A requirement
// narrows the request, so ignoring it is safe.

func fieldSelectorQuestion(selector *authorizationv1.FieldSelectorAttributes, path *field.Path) field.ErrorList {
	if selector == nil {
		return nil
	}
	errs := oneSelector(selector.RawSelector, len(selector.Requirements), path)
	options := metav1validation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
	for i, r := range selector.Requirements {
		errs = append(errs, metav1validation.ValidateFieldSelectorRequirement(r, options,
			path.Child("requirements").Index(i))...)
	}
	return errs
}

func labelSelectorQuestion(selector *authorizationv1.LabelSelectorAttributes, path *field.Path) field.ErrorList {
	if selector == nil {
		return nil
	}
	errs := oneSelector(selector.RawSelector, len(selector.Requirements), path)
	options := metav1validation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
	for i, r := range selector.Requirements {
		errs = append(errs, metav1validation.ValidateLabelSelectorRequirement(r, options,
			path.Child("requirements").Index(i))...)
	}
	return errs
}

func oneSelector(raw string, requirements int, path *field.Path) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(path.Child("rawSelector"), raw,
			"may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(path.Child("requirements"),
			fmt.Sprintf("when %s is specified, requirements or rawSelector is required", path))}
	}
	return nil
}

// emptyMeta checks that a review, which is not stored, has no metadata except what the server has set.
func emptyMeta(meta metav1.ObjectMeta, message string) field.ErrorList {
	meta.ManagedFields = nil
	if apiequality.Semantic.DeepEqual(metav1.ObjectMeta{}, meta) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), meta, message)}
}
