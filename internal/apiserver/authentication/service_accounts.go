package authentication

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/tokens"
)

// deletedLeeway is how long a token stays valid after its object is marked as deleted, so that Pods can shut down.
// kube-apiserver has the same.
const deletedLeeway = time.Minute

// accountTokens authenticates ServiceAccounts by signed tokens, while the account and the object that the token is
// bound to exist.
type accountTokens struct {
	authority *tokens.Authority
	bound     BoundObjects
}

// BoundObjects are the objects that tokens of ServiceAccounts can be bound to. All fields are required.
type BoundObjects struct {
	Accounts resource.Storage[*corev1.ServiceAccount]
	Pods     resource.Storage[*corev1.Pod]
	Secrets  resource.Storage[*corev1.Secret]
	Nodes    resource.Storage[*corev1.Node]
}

// AuthenticateToken implements authenticator.Token.
func (t *accountTokens) AuthenticateToken(ctx context.Context, text string) (*authenticator.Response, bool, error) {
	claims, ours, err := t.authority.Verify(text)
	if err != nil || !ours {
		return nil, false, err
	}
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		wanted = authenticator.Audiences{Issuer}
	}
	accepted := authenticator.Audiences(claims.Audience).Intersect(wanted)
	if len(accepted) == 0 {
		return nil, false, fmt.Errorf("token audiences %q is invalid for the target audiences %q", claims.Audience, wanted)
	}
	if err := t.bound.check(ctx, &claims.Account); err != nil {
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

// check returns an error if the account of a token, or the object that it is bound to, does not exist any more.
func (s BoundObjects) check(ctx context.Context, a *tokens.Account) error {
	if err := checkExists(ctx, s.Accounts, a.Namespace, a.ServiceAccount); err != nil {
		return fmt.Errorf("service account %s/%s: %w", a.Namespace, a.ServiceAccount.Name, err)
	}
	var err error
	switch {
	case a.Pod != nil: // its Node is not checked: it is where the Pod was when the token was issued
		err = checkExists(ctx, s.Pods, a.Namespace, *a.Pod)
	case a.Secret != nil:
		err = checkExists(ctx, s.Secrets, a.Namespace, *a.Secret)
	case a.Node != nil:
		err = checkExists(ctx, s.Nodes, "", *a.Node)
	}
	if err != nil {
		return fmt.Errorf("service account token has been invalidated: bound object: %w", err)
	}
	return nil
}

// checkExists returns an error unless the object with the name and the UID of ref exists.
func checkExists[T resource.Object](ctx context.Context, storage resource.Storage[T], namespace string,
	ref tokens.Ref) error {
	same := func(obj T) bool { return string(obj.GetUID()) == ref.UID }
	obj, err := storage.CacheThenStore(ctx, namespace, ref.Name, same)
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
