package apiserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/tokens"
)

// deletedLeeway is how long after its deletion an object may still stand behind a token: Pods end in peace; upstream's.
const deletedLeeway = time.Minute

// accountLogin logs ServiceAccounts in by their signed tokens, while the account and what the token is bound to exist.
type accountLogin struct {
	authority *tokens.Authority
	accounts  *accountStores // set before the first request
}

// accountStores have what tokens of ServiceAccounts can be bound to.
type accountStores struct{ accounts, pods, secrets, nodes *registry.Store }

func accountStoresOf(s *stores) *accountStores {
	return &accountStores{accounts: s.accounts, pods: s.pods, secrets: s.secrets, nodes: s.nodes}
}

// AuthenticateToken implements authenticator.Token.
func (l *accountLogin) AuthenticateToken(ctx context.Context, text string) (*authenticator.Response, bool, error) {
	claims, ours, err := l.authority.Verify(text)
	if err != nil || !ours {
		return nil, false, err
	}
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		wanted = authenticator.Audiences{issuer}
	}
	accepted := authenticator.Audiences(claims.Audience).Intersect(wanted)
	if len(accepted) == 0 {
		return nil, false, fmt.Errorf("token audiences %q is invalid for the target audiences %q", claims.Audience, wanted)
	}
	if err := l.accounts.haveAll(ctx, &claims.Account); err != nil {
		return nil, false, err
	}
	return &authenticator.Response{User: accountInfo(claims).UserInfo(), Audiences: accepted}, true, nil
}

func accountInfo(claims *tokens.Claims) *serviceaccount.ServiceAccountInfo {
	a := claims.Account
	info := &serviceaccount.ServiceAccountInfo{
		Namespace: a.Namespace, Name: a.ServiceAccount.Name, UID: a.ServiceAccount.UID, CredentialID: "JTI=" + claims.ID,
	}
	if a.Pod != nil {
		info.PodName, info.PodUID = a.Pod.Name, a.Pod.UID
	}
	if a.Node != nil {
		info.NodeName, info.NodeUID = a.Node.Name, a.Node.UID
	}
	return info
}

// haveAll says what of that which a token stands on is not there any more.
func (s *accountStores) haveAll(ctx context.Context, a *tokens.Account) error {
	if err := have[*corev1.ServiceAccount](ctx, s.accounts, a.Namespace, a.ServiceAccount); err != nil {
		return fmt.Errorf("service account %s/%s: %w", a.Namespace, a.ServiceAccount.Name, err)
	}
	var err error
	switch {
	case a.Pod != nil: // its Node is only where it was when the token was issued
		err = have[*corev1.Pod](ctx, s.pods, a.Namespace, *a.Pod)
	case a.Secret != nil:
		err = have[*corev1.Secret](ctx, s.secrets, a.Namespace, *a.Secret)
	case a.Node != nil:
		err = have[*corev1.Node](ctx, s.nodes, "", *a.Node)
	}
	if err != nil {
		return fmt.Errorf("service account token has been invalidated: what it is bound to: %w", err)
	}
	return nil
}

// have says why the very object that ref means is not there.
func have[T object](ctx context.Context, store *registry.Store, namespace string, ref tokens.Ref) error {
	same := func(obj T) bool { return string(obj.GetUID()) == ref.UID }
	obj, err := resource.Storage[T]{Main: store}.CacheThenStore(ctx, namespace, ref.Name, same)
	switch {
	case err != nil:
		return err
	case !same(obj):
		return fmt.Errorf("UID (%s) does not match claim (%s)", obj.GetUID(), ref.UID)
	case obj.GetDeletionTimestamp() != nil && time.Since(obj.GetDeletionTimestamp().Time) > deletedLeeway:
		return errDeleted
	}
	return nil
}

var errDeleted = errors.New("has been deleted")
