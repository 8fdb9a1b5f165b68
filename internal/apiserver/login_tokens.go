package apiserver

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
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/tokens"
)

// tokenLogin logs users in by the tokens whose hashes are in Secrets: all servers over one store know the same ones,
// and one whose Secret is deleted is of no use from then on. The watch cache answers, so that a login costs the store
// nothing.
type tokenLogin struct {
	secrets *registry.Store // set before the first request
	// misses bounds the reads past the cache for tokens that it does not know. They are for a token made a moment ago,
	// maybe by another server; but anybody can make up tokens, and is not to keep the store busy by that.
	misses *rate.Limiter
}

func newTokenLogin() *tokenLogin { return &tokenLogin{misses: rate.NewLimiter(20, 100)} }

// AuthenticateToken implements authenticator.Token.
func (l *tokenLogin) AuthenticateToken(ctx context.Context, text string) (*authenticator.Response, bool, error) {
	id, ok := tokens.ID(text)
	if !ok {
		return nil, false, nil
	}
	secret, err := l.find(ctx, tokens.SecretName(id))
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
	case len(errs) > 0: // written before the rules were, or past them
		return nil, false, fmt.Errorf("token %s cannot be used: %w", id, errs.ToAggregate())
	case grant.Expired(time.Now()):
		return nil, false, errors.New("token has expired")
	}
	return &authenticator.Response{User: &user.DefaultInfo{
		Name: grant.User, Groups: grant.Groups, Extra: map[string][]string{user.CredentialIDKey: {"TOKEN=" + id}},
	}}, true, nil
}

func (l *tokenLogin) find(ctx context.Context, name string) (*corev1.Secret, error) {
	secret, err := resource.Storage[*corev1.Secret]{Main: l.secrets}.FromCache(ctx, tokens.SecretNamespace, name)
	if apierrors.IsNotFound(err) && l.misses.Allow() {
		return resource.Storage[*corev1.Secret]{Main: l.secrets}.FromStore(ctx, tokens.SecretNamespace, name)
	}
	return secret, err
}
