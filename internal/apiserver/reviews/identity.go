package reviews

import (
	"context"
	"errors"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// whoAmI answers `kubectl auth whoami`.
func whoAmI(_ context.Context, client user.Info, q *authenticationv1.SelfSubjectReview) error {
	*q = authenticationv1.SelfSubjectReview{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.Now()},
		Status:     authenticationv1.SelfSubjectReviewStatus{UserInfo: userInfo(client)},
	}
	return nil
}

// tokenReview returns the user of a token to other servers. An invalid token is an answer, not an error.
func (r reviewer) tokenReview(ctx context.Context, _ user.Info, q *authenticationv1.TokenReview) error {
	if q.Spec.Token == "" {
		return apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	audiences := authenticator.Audiences(q.Spec.Audiences)
	if len(audiences) == 0 {
		audiences = authenticator.Audiences{r.Audience}
	}
	request, err := http.NewRequestWithContext(authenticator.WithAudiences(ctx, audiences), http.MethodGet, "/", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+q.Spec.Token)
	login, ok, err := r.Tokens.AuthenticateRequest(request)
	q.Status = authenticationv1.TokenReviewStatus{Authenticated: ok}
	if err != nil {
		q.Status.Error = err.Error()
	}
	if !ok {
		return nil
	}
	if len(audiences.Intersect(login.Audiences)) == 0 { // a token for one server must not work at another
		return apierrors.NewInternalError(errors.New("error validating audiences"))
	}
	q.Status.User, q.Status.Audiences = userInfo(login.User), login.Audiences
	return nil
}

func userInfo(who user.Info) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: who.GetName(), UID: who.GetUID(), Groups: who.GetGroups()}
	if len(who.GetExtra()) == 0 {
		return info
	}
	info.Extra = make(map[string]authenticationv1.ExtraValue, len(who.GetExtra()))
	for key, values := range who.GetExtra() {
		info.Extra[key] = values
	}
	return info
}
