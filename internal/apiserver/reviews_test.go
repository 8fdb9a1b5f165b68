package apiserver_test

import (
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

func TestReviews(t *testing.T) {
	server := apitest.Start(t)
	t.Run("what others may do", func(t *testing.T) { reviewOthers(t, server) })
	t.Run("in one namespace", func(t *testing.T) { reviewInNamespace(t, server) })
	t.Run("what I may do", func(t *testing.T) { reviewSelf(t, server) })
	t.Run("who I am", func(t *testing.T) { reviewIdentity(t, server) })
	t.Run("whose token", func(t *testing.T) { reviewTokens(t, server) })
}

func reviewOthers(t *testing.T, server *apitest.Server) {
	reviews := server.Client(t).AuthorizationV1().SubjectAccessReviews()
	services := &authorizationv1.ResourceAttributes{Verb: "list", Resource: "services", Namespace: "default"}
	for name, c := range map[string]struct {
		spec    authorizationv1.SubjectAccessReviewSpec
		allowed bool
		err     string // of the evaluation
	}{
		"the proxy reads services": {spec: authorizationv1.SubjectAccessReviewSpec{User: apiserver.UserProxy,
			ResourceAttributes: services}, allowed: true},
		"a user without roles reads services": {spec: authorizationv1.SubjectAccessReviewSpec{User: "nobody",
			ResourceAttributes: services}},
		"an administrator's group can": {spec: authorizationv1.SubjectAccessReviewSpec{Groups: []string{
			user.SystemPrivilegedGroup,
		}, ResourceAttributes: services}, allowed: true},
		"a path": {spec: authorizationv1.SubjectAccessReviewSpec{User: "nobody",
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/readyz"}}, allowed: true},
		"another path": {spec: authorizationv1.SubjectAccessReviewSpec{User: "nobody",
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/metrics"}}},
		"a selector that cannot be read": {
			spec: authorizationv1.SubjectAccessReviewSpec{User: apiserver.UserProxy,
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: "list", Resource: "services",
					FieldSelector: &authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{
						{Key: "metadata.name", Operator: metav1.FieldSelectorOpIn, Values: []string{"a"}}, {Key: "metadata.name",
							Operator: "Near", Values: []string{"b"}},
					}},
					LabelSelector: &authorizationv1.LabelSelectorAttributes{RawSelector: "a in b"},
				}},
			allowed: true,
			err: "spec.resourceAttributes.fieldSelector partially ignored due to parse error; " +
				"spec.resourceAttributes.labelSelector ignored due to parse error",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := reviews.Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: c.spec}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Status.Allowed != c.allowed || got.Status.Denied || got.Status.EvaluationError != c.err {
				t.Errorf("%+v, want allowed=%v, error %q", got.Status, c.allowed, c.err)
			}
		})
	}
	_, err := reviews.Create(t.Context(), &authorizationv1.SubjectAccessReview{}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(),
		`SubjectAccessReview.authorization.k8s.io "" is invalid`) {
		t.Errorf("an empty question: %v", err)
	}
}

func reviewInNamespace(t *testing.T, server *apitest.Server) {
	question := func(namespace string) *authorizationv1.LocalSubjectAccessReview {
		return &authorizationv1.LocalSubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: apiserver.UserProxy, ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "list",
				Resource: "services", Namespace: namespace},
		}}
	}
	reviews := server.Client(t).AuthorizationV1()
	for _, namespace := range []string{"default", "not-there"} { // the client cannot learn which namespaces exist
		got, err := reviews.LocalSubjectAccessReviews(namespace).Create(t.Context(), question(namespace),
			metav1.CreateOptions{})
		if err != nil || !got.Status.Allowed {
			t.Errorf("in %s: %+v, %v", namespace, got, err)
		}
	}
	if _, err := reviews.LocalSubjectAccessReviews("default").Create(t.Context(), question("kube-system"),
		metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("of another namespace: %v", err)
	}
}

func reviewSelf(t *testing.T, server *apitest.Server) {
	giveRole(t, server, "auditor", "bob", rbacv1.PolicyRule{Verbs: []string{"list"}, APIGroups: []string{""},
		Resources: []string{"secrets"}, ResourceNames: []string{"one"}})
	bob := as(t, server, "bob")
	may := func(resource, name string) bool {
		got, err := bob.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(),
			&authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: "list", Resource: resource, Name: name,
				}},
			}, metav1.CreateOptions{})
		return err == nil && got.Status.Allowed
	}
	eventually(t, "bob lists his secret", func() bool { return may("secrets", "one") })
	if may("secrets", "two") || may("pods", "one") {
		t.Error("bob may list without permission")
	}
	rules, err := bob.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(),
		&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(rules.Status.ResourceRules, func(r authorizationv1.ResourceRule) bool {
		return slices.Equal(r.Resources, []string{"secrets"}) && slices.Equal(r.ResourceNames, []string{"one"}) &&
			slices.Equal(r.Verbs, []string{"list"})
	}) {
		t.Errorf("bob's rules are %+v", rules.Status)
	}
	_, err = bob.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{},
		metav1.CreateOptions{})
	if !apierrors.IsBadRequest(err) {
		t.Errorf("rules of no namespace: %v", err)
	}
}

// giveRole binds who to a new ClusterRole with rule, and with permission to create the reviews of this file.
func giveRole(t *testing.T, server *apitest.Server, name, who string, rule rbacv1.PolicyRule) {
	t.Helper()
	ask := rbacv1.PolicyRule{
		Verbs: []string{"create"}, APIGroups: []string{"authorization.k8s.io", "authentication.k8s.io"},
		Resources: []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"},
	}
	admin := server.Client(t).RbacV1()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{rule, ask}}
	if _, err := admin.ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: who}},
	}
	if _, err := admin.ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func reviewIdentity(t *testing.T, server *apitest.Server) {
	giveRole(t, server, "passer-by", "cleo", rbacv1.PolicyRule{Verbs: []string{"get"},
		NonResourceURLs: []string{"/nothing"}})
	cleo := as(t, server, "cleo", "dev")
	var me *authenticationv1.SelfSubjectReview
	eventually(t, "cleo may ask", func() (ok bool) {
		var err error
		me, err = cleo.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{},
			metav1.CreateOptions{})
		return err == nil
	})
	who := me.Status.UserInfo
	if who.Username != "cleo" || !slices.Equal(who.Groups, []string{"dev", user.AllAuthenticated}) ||
		me.CreationTimestamp.IsZero() {
		t.Errorf("cleo is %+v", me)
	}
}

func reviewTokens(t *testing.T, server *apitest.Server) {
	reviews := server.Client(t).AuthenticationV1().TokenReviews()
	review := func(token string, audiences ...string) *authenticationv1.TokenReview {
		t.Helper()
		got, err := reviews.Create(t.Context(),
			&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}},
			metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	proxy := server.ClientConfig(apiserver.UserProxy).BearerToken
	got := review(proxy).Status
	if !got.Authenticated || got.User.Username != apiserver.UserProxy || !slices.Equal(got.User.Groups,
		[]string{user.AllAuthenticated}) || len(got.Audiences) != 1 {
		t.Errorf("the proxy's token: %+v", got)
	}
	for name, got := range map[string]*authenticationv1.TokenReview{"a guess": review("guess"),
		"a token for others": review(proxy, "others")} {
		if got.Status.Authenticated || got.Status.User.Username != "" || got.Status.Error == "" {
			t.Errorf("%s: %+v", name, got.Status)
		}
	}
	if _, err := reviews.Create(t.Context(), &authenticationv1.TokenReview{},
		metav1.CreateOptions{}); !apierrors.IsBadRequest(err) {
		t.Errorf("no token: %v", err)
	}
}
