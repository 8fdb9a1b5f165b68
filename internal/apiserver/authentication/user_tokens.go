package authentication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/tokens"
)

// userTokens authenticates users by tokens whose hashes are stored in Secrets. All servers over one etcd accept the
// same tokens, and a token becomes invalid when its Secret is deleted. The watch cache answers, so a request costs etcd
// nothing.
type userTokens struct {
	secrets resource.Storage[*corev1.Secret]
	// misses limits the reads of etcd for tokens that the cache lacks. A token may be new, perhaps from another server;
	// but clients can invent tokens and must not load etcd by that.
	misses *rate.Limiter
}

func newUserTokens(secrets resource.Storage[*corev1.Secret]) *userTokens {
	return &userTokens{secrets: secrets, misses: rate.NewLimiter(20, 100)}
}

// AuthenticateToken implements authenticator.Token.
func (u *userTokens) AuthenticateToken(ctx context.Context, text string) (*authenticator.Response, bool, error) {
	id, ok := tokens.ID(text)
	if !ok {
		return nil, false, nil
	}
	secret, err := u.find(ctx, tokens.SecretName(id))
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("looking up a token: %w", err)
	}
	if secret.Type != tokens.SecretType || secret.DeletionTimestamp != nil {
		return nil, false, nil
	}
	grant, errs := tokens.Parse(secret)
	switch {
	case !grant.Matches(text):
		return nil, false, nil
	case len(errs) > 0: // stored by a version without these rules
		return nil, false, fmt.Errorf("token %s cannot be used: %w", id, errs.ToAggregate())
	case grant.Expired(time.Now()):
		return nil, false, errors.New("token has expired")
	}
	return &authenticator.Response{User: &user.DefaultInfo{
		Name: grant.User, Groups: grant.Groups, Extra: map[string][]string{user.CredentialIDKey: {"TOKEN=" + id}},
	}}, true, nil
}

func (u *userTokens) find(ctx context.Context, name string) (*corev1.Secret, error) {
	secret, err := u.secrets.FromCache(ctx, tokens.SecretNamespace, name)
	if apierrors.IsNotFound(err) && u.misses.Allow() {
		return u.secrets.FromStore(ctx, tokens.SecretNamespace, name)
	}
	return secret, err
}
