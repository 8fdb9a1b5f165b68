package validation

import (
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func resourceQuestion(fields *authorizationv1.FieldSelectorAttributes,
	labels *authorizationv1.LabelSelectorAttributes) *authorizationv1.ResourceAttributes {
	return &authorizationv1.ResourceAttributes{Namespace: "here", Verb: "get", Resource: "pods", FieldSelector: fields,
		LabelSelector: labels}
}

func TestSelfSubjectAccessReview(t *testing.T) {
	path := &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/metrics"}
	for name, c := range map[string]struct {
		meta metav1.ObjectMeta
		spec authorizationv1.SelfSubjectAccessReviewSpec
		want string
	}{
		"a resource": {spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: resourceQuestion(nil,
			nil)}},
		"a path":  {spec: authorizationv1.SelfSubjectAccessReviewSpec{NonResourceAttributes: path}},
		"nothing": {want: "Invalid spec.resourceAttributes"},
		"both": {spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: resourceQuestion(nil,
			nil), NonResourceAttributes: path}, want: "Invalid spec.nonResourceAttributes"},
		"a name": {meta: metav1.ObjectMeta{Name: "x"},
			spec: authorizationv1.SelfSubjectAccessReviewSpec{NonResourceAttributes: path}, want: "Invalid metadata"},
		"bookkeeping of it": {meta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{}}},
			spec: authorizationv1.SelfSubjectAccessReviewSpec{NonResourceAttributes: path}},
		"empty selectors": {
			spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: resourceQuestion(
				&authorizationv1.FieldSelectorAttributes{}, &authorizationv1.LabelSelectorAttributes{})},
			want: `Required spec.resourceAttributes.fieldSelector.requirements
			       Required spec.resourceAttributes.labelSelector.requirements`,
		},
		"selectors in two forms": {
			spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: resourceQuestion(
				&authorizationv1.FieldSelectorAttributes{RawSelector: "a=b",
					Requirements: []metav1.FieldSelectorRequirement{{Key: "a", Operator: "In", Values: []string{"b"}}}},
				&authorizationv1.LabelSelectorAttributes{RawSelector: "a=b",
					Requirements: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Exists"}}},
			)},
			want: `Invalid spec.resourceAttributes.fieldSelector.rawSelector
			       Invalid spec.resourceAttributes.labelSelector.rawSelector`,
		},
		"requirements without key or values": {
			spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: resourceQuestion(
				&authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{{Operator: "In",
					Values: []string{"b"}}}},
				&authorizationv1.LabelSelectorAttributes{Requirements: []metav1.LabelSelectorRequirement{{Key: "a",
					Operator: "In"}}},
			)},
			want: `Required spec.resourceAttributes.fieldSelector.requirements[0].key
			       Required spec.resourceAttributes.labelSelector.requirements[0].values`,
		},
		"operators of the future": {
			spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: resourceQuestion(
				&authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{{Key: "a",
					Operator: "Near"}}},
				&authorizationv1.LabelSelectorAttributes{Requirements: []metav1.LabelSelectorRequirement{{Key: "a",
					Operator: "Near"}}},
			)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, ValidateSelfSubjectAccessReview(&authorizationv1.SelfSubjectAccessReview{ObjectMeta: c.meta,
				Spec: c.spec}), c.want)
		})
	}
}

func TestSubjectAccessReview(t *testing.T) {
	for name, c := range map[string]struct {
		meta metav1.ObjectMeta
		spec authorizationv1.SubjectAccessReviewSpec
		want string
	}{
		"of a user": {spec: authorizationv1.SubjectAccessReviewSpec{User: "ann", ResourceAttributes: resourceQuestion(nil,
			nil)}},
		"of a group": {spec: authorizationv1.SubjectAccessReviewSpec{Groups: []string{"dev"},
			ResourceAttributes: resourceQuestion(nil, nil)}},
		"without a user": {spec: authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: resourceQuestion(nil, nil)},
			want: "Invalid spec.user"},
		"of nothing": {spec: authorizationv1.SubjectAccessReviewSpec{User: "ann"}, want: "Invalid spec.resourceAttributes"},
		"with a label": {meta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}},
			spec: authorizationv1.SubjectAccessReviewSpec{User: "ann", ResourceAttributes: resourceQuestion(nil, nil)},
			want: "Invalid metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, ValidateSubjectAccessReview(&authorizationv1.SubjectAccessReview{ObjectMeta: c.meta, Spec: c.spec}),
				c.want)
		})
	}
}

func TestLocalSubjectAccessReview(t *testing.T) {
	here := metav1.ObjectMeta{Namespace: "here"}
	for name, c := range map[string]struct {
		meta metav1.ObjectMeta
		spec authorizationv1.SubjectAccessReviewSpec
		want string
	}{
		"of its namespace": {meta: here, spec: authorizationv1.SubjectAccessReviewSpec{User: "ann",
			ResourceAttributes: resourceQuestion(nil, nil)}},
		"of another": {
			meta: metav1.ObjectMeta{Namespace: "there"}, spec: authorizationv1.SubjectAccessReviewSpec{User: "ann",
				ResourceAttributes: resourceQuestion(nil, nil)},
			want: "Invalid spec.resourceAttributes.namespace",
		},
		"of a path": {
			meta: here, spec: authorizationv1.SubjectAccessReviewSpec{User: "ann",
				NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/"}},
			want: "Invalid spec.nonResourceAttributes",
		},
		"with a name": {
			meta: metav1.ObjectMeta{Namespace: "here", Name: "x"}, spec: authorizationv1.SubjectAccessReviewSpec{User: "ann",
				ResourceAttributes: resourceQuestion(nil, nil)},
			want: "Invalid metadata",
		},
		"without a user": {meta: here, spec: authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: resourceQuestion(nil,
			nil)}, want: "Invalid spec.user"},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, ValidateLocalSubjectAccessReview(&authorizationv1.LocalSubjectAccessReview{ObjectMeta: c.meta,
				Spec: c.spec}), c.want)
		})
	}
}
