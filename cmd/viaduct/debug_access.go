package main

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

// gate lets those in who may get the path by the roles of the API server, which it asks for each request. The API
// machinery's own would remember answers for a while, and bring a compiler for expressions along that costs more memory
// than all of the controllers.
type gate struct {
	client kubernetes.Interface
	inside http.Handler
}

func (g gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, err := g.who(r.Context(), r.Header.Get("Authorization"))
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	case user == nil:
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "Unauthorized: log in with a bearer token, as of 'kubectl create token'", http.StatusUnauthorized)
		return
	}
	verb := strings.ToLower(r.Method)
	allowed, err := g.may(r.Context(), user, verb, r.URL.Path)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case !allowed:
		http.Error(w, fmt.Sprintf("Forbidden: user %q cannot %s path %q", user.Username, verb, r.URL.Path),
			http.StatusForbidden)
	default:
		g.inside.ServeHTTP(w, r)
	}
}

// who is the user of a bearer token; nil: nobody that the API server knows.
func (g gate) who(ctx context.Context, authorization string) (*authenticationv1.UserInfo, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, nil
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	answer, err := g.client.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("asking the API server who this is: %w", err)
	}
	if !answer.Status.Authenticated {
		return nil, nil
	}
	return &answer.Status.User, nil
}

func (g gate) may(ctx context.Context, user *authenticationv1.UserInfo, verb, path string) (bool, error) {
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
		return false, fmt.Errorf("asking the API server what %s may do: %w", user.Username, err)
	}
	return answer.Status.Allowed, nil
}
