package apiserver

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/validation"
)

// The resources of authentication.k8s.io and authorization.k8s.io: who am I, and what may I do.

// reviewREST serves questions: a client creates one, and gets it back with the answer in its status. Nothing is stored.
type reviewREST[T object] struct {
	kind       schema.GroupKind
	singular   string
	namespaced bool
	newObject  func() T
	validate   func(question T) field.ErrorList // nil: anything may be asked
	answer     func(ctx context.Context, asker user.Info, question T) error
}

var (
	_ rest.Creater              = &reviewREST[*authenticationv1.TokenReview]{}
	_ rest.Scoper               = &reviewREST[*authenticationv1.TokenReview]{}
	_ rest.SingularNameProvider = &reviewREST[*authenticationv1.TokenReview]{}
)

func (r *reviewREST[T]) New() runtime.Object     { return r.newObject() }
func (r *reviewREST[T]) Destroy()                {}
func (r *reviewREST[T]) NamespaceScoped() bool   { return r.namespaced }
func (r *reviewREST[T]) GetSingularName() string { return r.singular }

// Create implements rest.Creater.
func (r *reviewREST[T]) Create(ctx context.Context, obj runtime.Object, admit rest.ValidateObjectFunc,
	_ *metav1.CreateOptions) (runtime.Object, error) {
	question, ok := obj.(T)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a %s: %T", r.kind.Kind, obj))
	}
	asker, ok := apirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	if r.validate != nil {
		if errs := r.validate(question); len(errs) > 0 {
			return nil, apierrors.NewInvalid(r.kind, "", errs)
		}
	}
	if admit != nil {
		if err := admit(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if err := r.answer(ctx, asker, question); err != nil {
		return nil, err
	}
	return question, nil
}

// reviewers know the answers.
type reviewers struct {
	authorizer authorizer.Authorizer
	rules      authorizer.RuleResolver
	tokens     authenticator.Request // looks at the bearer token of a request, and at nothing else
	audience   string                // that a token has to be for, where a review names none
}

// install adds the resources.
func (r reviewers) install(b *builder) {
	r.installAccess(b)
	b.add(authenticationv1.Resource("selfsubjectreviews"), "", &reviewREST[*authenticationv1.SelfSubjectReview]{
		kind: authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview").GroupKind(), singular: "selfsubjectreview",
		newObject: func() *authenticationv1.SelfSubjectReview { return &authenticationv1.SelfSubjectReview{} },
		answer:    whoAmI,
	})
	b.add(authenticationv1.Resource("tokenreviews"), "", &reviewREST[*authenticationv1.TokenReview]{
		kind: authenticationv1.SchemeGroupVersion.WithKind("TokenReview").GroupKind(), singular: "tokenreview",
		newObject: func() *authenticationv1.TokenReview { return &authenticationv1.TokenReview{} },
		answer:    r.whoseToken,
	})
}

func (r reviewers) installAccess(b *builder) {
	kind := func(name string) schema.GroupKind {
		return authorizationv1.SchemeGroupVersion.WithKind(name).GroupKind()
	}
	b.add(authorizationv1.Resource("selfsubjectaccessreviews"), "", &reviewREST[*authorizationv1.SelfSubjectAccessReview]{
		kind: kind("SelfSubjectAccessReview"), singular: "selfsubjectaccessreview",
		newObject: func() *authorizationv1.SelfSubjectAccessReview { return &authorizationv1.SelfSubjectAccessReview{} },
		validate:  validation.ValidateSelfSubjectAccessReview,
		answer:    r.mayI,
	})
	b.add(authorizationv1.Resource("subjectaccessreviews"), "", &reviewREST[*authorizationv1.SubjectAccessReview]{
		kind: kind("SubjectAccessReview"), singular: "subjectaccessreview",
		newObject: func() *authorizationv1.SubjectAccessReview { return &authorizationv1.SubjectAccessReview{} },
		validate:  validation.ValidateSubjectAccessReview,
		answer: func(ctx context.Context, _ user.Info, q *authorizationv1.SubjectAccessReview) error {
			q.Status = r.mayThey(ctx, &q.Spec)
			return nil
		},
	})
	b.add(authorizationv1.Resource("localsubjectaccessreviews"), "",
		&reviewREST[*authorizationv1.LocalSubjectAccessReview]{
			kind: kind("LocalSubjectAccessReview"), singular: "localsubjectaccessreview", namespaced: true,
			newObject: func() *authorizationv1.LocalSubjectAccessReview { return &authorizationv1.LocalSubjectAccessReview{} },
			validate:  validation.ValidateLocalSubjectAccessReview,
			answer: func(ctx context.Context, _ user.Info, q *authorizationv1.LocalSubjectAccessReview) error {
				q.Status = r.mayThey(ctx, &q.Spec)
				return nil
			},
		})
	b.add(authorizationv1.Resource("selfsubjectrulesreviews"), "", &reviewREST[*authorizationv1.SelfSubjectRulesReview]{
		kind: kind("SelfSubjectRulesReview"), singular: "selfsubjectrulesreview",
		newObject: func() *authorizationv1.SelfSubjectRulesReview { return &authorizationv1.SelfSubjectRulesReview{} },
		answer:    r.whatMayI,
	})
}
