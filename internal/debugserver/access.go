package debugserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// RequireAccess returns a handler that lets a request pass to h if the API server's RBAC allows its user the path as a
// non-resource URL. It authenticates the bearer token with a TokenReview, and authorizes the user with a
// SubjectAccessReview; both are asked anew for each request. A request without a valid token gets status 401, a user
// without the right gets 403, and an API server that does not answer leads to 503.
//
// k8s.io/apiserver has delegating authenticators for this. They cache answers, and they link a compiler for CEL
// expressions that takes more memory than all of the controllers.
func RequireAccess(client kubernetes.Interface, h http.Handler) http.Handler {
	return gate{client, h}
}

type gate struct {
	client kubernetes.Interface
	inner  http.Handler
}

func (g gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, err := g.authenticate(r.Context(), r.Header.Get("Authorization"))
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	case user == nil:
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "Unauthorized: use a bearer token, for example of 'kubectl create token'", http.StatusUnauthorized)
		return
	}
	verb := strings.ToLower(r.Method)
	allowed, err := g.authorize(r.Context(), user, verb, r.URL.Path)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case !allowed:
		http.Error(w, fmt.Sprintf("Forbidden: user %q cannot %s path %q", user.Username, verb, r.URL.Path),
			http.StatusForbidden)
	default:
		g.inner.ServeHTTP(w, r)
	}
}

// authenticate returns the user of a bearer token, or nil if there is no token or the API server does not accept it.
func (g gate) authenticate(ctx context.Context, authorization string) (*authenticationv1.UserInfo, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, nil
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	answer, err := g.client.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("reviewing the token: %w", err)
	}
	if !answer.Status.Authenticated {
		return nil, nil
	}
	return &answer.Status.User, nil
}

func (g gate) authorize(ctx context.Context, user *authenticationv1.UserInfo, verb, path string) (bool, error) {
	extra := map[string]authorizationv1.ExtraValue{}
	for k, v := range user.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: verb},
	}}
	answer, err := g.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("reviewing the access of %s: %w", user.Username, err)
	}
	return answer.Status.Allowed, nil
}
