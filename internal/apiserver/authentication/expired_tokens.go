package authentication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/tokens"
)

// expiryInterval is how often expired tokens are deleted. They are invalid already.
const expiryInterval = time.Minute

// DeleteExpiredTokens deletes the Secrets of expired user tokens, at once and at intervals, until ctx ends. Several
// servers may do so at once.
func DeleteExpiredTokens(ctx context.Context, secrets resource.Storage[*corev1.Secret], log *slog.Logger) {
	tick := time.NewTicker(expiryInterval)
	defer tick.Stop()
	for {
		if err := deleteExpired(ctx, secrets, time.Now()); err != nil && ctx.Err() == nil {
			log.Warn("deleting expired tokens", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func deleteExpired(ctx context.Context, secrets resource.Storage[*corev1.Secret], now time.Time) error {
	list, err := secrets.Select(ctx, tokens.SecretNamespace, &internalversion.ListOptions{
		ResourceVersion: "0", FieldSelector: fields.OneTermEqualSelector("type", string(tokens.SecretType)),
	})
	if err != nil {
		return fmt.Errorf("listing tokens: %w", err)
	}
	var errs []error
	for _, secret := range list {
		grant, invalid := tokens.Parse(secret)
		if len(invalid) > 0 || !grant.Expired(now) {
			continue // an invalid one may be a mistake, and authenticates no user
		}
		// The version that was read: the expiry may have been extended since.
		options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &secret.UID,
			ResourceVersion: &secret.ResourceVersion}}
		_, _, err := secrets.Main.Delete(resource.WithNamespace(ctx, secret.Namespace), secret.Name,
			rest.ValidateAllObjectFunc, options)
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("deleting token %s: %w", grant.ID, err))
		}
	}
	return errors.Join(errs...)
}
