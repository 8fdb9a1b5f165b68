// Package reviews holds the resources that answer questions about users: the user of a request, the user of a token,
// and the permissions of a user. They are TokenReview, SubjectAccessReview and their relatives. Nothing is stored.
package reviews

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
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

// reviewREST handles one kind of review: a client creates it, and the response has the answer in its status. Nothing is
// stored.
type reviewREST[T resource.Object] struct {
	kind       schema.GroupKind
	singular   string
	namespaced bool
	newObject  func() T
	validate   func(review T) field.ErrorList // nil: every review is valid
	answer     func(ctx context.Context, client user.Info, review T) error
}

var (
	_ rest.Creater              = &reviewREST[*authenticationv1.TokenReview]{}
	_ rest.Scoper               = &reviewREST[*authenticationv1.TokenReview]{}
	_ rest.SingularNameProvider = &reviewREST[*authenticationv1.TokenReview]{}
)

// New implements rest.Storage.
func (r *reviewREST[T]) New() runtime.Object { return r.newObject() }

// Destroy implements rest.Storage.
func (r *reviewREST[T]) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (r *reviewREST[T]) NamespaceScoped() bool { return r.namespaced }

// GetSingularName implements rest.SingularNameProvider.
func (r *reviewREST[T]) GetSingularName() string { return r.singular }

// Create implements rest.Creater.
func (r *reviewREST[T]) Create(ctx context.Context, obj runtime.Object, admit rest.ValidateObjectFunc,
	_ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(T)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a %s: %T", r.kind.Kind, obj))
	}
	client, ok := apirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	if r.validate != nil {
		if errs := r.validate(review); len(errs) > 0 {
			return nil, apierrors.NewInvalid(r.kind, "", errs)
		}
	}
	if admit != nil {
		if err := admit(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if err := r.answer(ctx, client, review); err != nil {
		return nil, err
	}
	return review, nil
}

// Config says what answers the reviews. All fields are required.
type Config struct {
	Authorizer authorizer.Authorizer
	Rules      authorizer.RuleResolver
	Tokens     authenticator.Request // checks only the bearer token of a request
	Audience   string                // required of a token if a TokenReview names none
}

type reviewer struct{ Config }

// Declare adds the reviews of authentication.k8s.io and authorization.k8s.io.
func Declare(b *resource.Builder, c Config) {
	b.AddGroup(resource.Group{Version: authenticationv1.SchemeGroupVersion, AddToScheme: authenticationv1.AddToScheme})
	b.AddGroup(resource.Group{Version: authorizationv1.SchemeGroupVersion, AddToScheme: authorizationv1.AddToScheme})
	r := reviewer{c}
	r.declareAccess(b)
	b.Add(authenticationv1.Resource("selfsubjectreviews"), "", &reviewREST[*authenticationv1.SelfSubjectReview]{
		kind: authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview").GroupKind(), singular: "selfsubjectreview",
		newObject: func() *authenticationv1.SelfSubjectReview { return &authenticationv1.SelfSubjectReview{} },
		answer:    whoAmI,
	})
	b.Add(authenticationv1.Resource("tokenreviews"), "", &reviewREST[*authenticationv1.TokenReview]{
		kind: authenticationv1.SchemeGroupVersion.WithKind("TokenReview").GroupKind(), singular: "tokenreview",
		newObject: func() *authenticationv1.TokenReview { return &authenticationv1.TokenReview{} },
		answer:    r.tokenReview,
	})
}

func (r reviewer) declareAccess(b *resource.Builder) {
	kind := func(name string) schema.GroupKind {
		return authorizationv1.SchemeGroupVersion.WithKind(name).GroupKind()
	}
	b.Add(authorizationv1.Resource("selfsubjectaccessreviews"), "", &reviewREST[*authorizationv1.SelfSubjectAccessReview]{
		kind: kind("SelfSubjectAccessReview"), singular: "selfsubjectaccessreview",
		newObject: func() *authorizationv1.SelfSubjectAccessReview { return &authorizationv1.SelfSubjectAccessReview{} },
		validate:  validation.ValidateSelfSubjectAccessReview,
		answer:    r.selfAccess,
	})
	b.Add(authorizationv1.Resource("subjectaccessreviews"), "", &reviewREST[*authorizationv1.SubjectAccessReview]{
		kind: kind("SubjectAccessReview"), singular: "subjectaccessreview",
		newObject: func() *authorizationv1.SubjectAccessReview { return &authorizationv1.SubjectAccessReview{} },
		validate:  validation.ValidateSubjectAccessReview,
		answer: func(ctx context.Context, _ user.Info, q *authorizationv1.SubjectAccessReview) error {
			q.Status = r.access(ctx, &q.Spec)
			return nil
		},
	})
	b.Add(authorizationv1.Resource("localsubjectaccessreviews"), "",
		&reviewREST[*authorizationv1.LocalSubjectAccessReview]{
			kind: kind("LocalSubjectAccessReview"), singular: "localsubjectaccessreview", namespaced: true,
			newObject: func() *authorizationv1.LocalSubjectAccessReview { return &authorizationv1.LocalSubjectAccessReview{} },
			validate:  validation.ValidateLocalSubjectAccessReview,
			answer: func(ctx context.Context, _ user.Info, q *authorizationv1.LocalSubjectAccessReview) error {
				q.Status = r.access(ctx, &q.Spec)
				return nil
			},
		})
	b.Add(authorizationv1.Resource("selfsubjectrulesreviews"), "", &reviewREST[*authorizationv1.SelfSubjectRulesReview]{
		kind: kind("SelfSubjectRulesReview"), singular: "selfsubjectrulesreview",
		newObject: func() *authorizationv1.SelfSubjectRulesReview { return &authorizationv1.SelfSubjectRulesReview{} },
		answer:    r.selfRules,
	})
}
