package apiserver

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
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/tokens"
)

// sweepEvery is how often expired tokens are looked for. Nobody is logged in by one in the meantime.
const sweepEvery = time.Minute

// sweepTokens removes the Secrets of expired tokens, at once and from then on, until ctx ends. Several servers may do
// so at once.
func sweepTokens(ctx context.Context, secrets *registry.Store, log *slog.Logger) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := sweepTokensOnce(ctx, secrets, time.Now()); err != nil && ctx.Err() == nil {
			log.Warn("removing expired tokens", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func sweepTokensOnce(ctx context.Context, secrets *registry.Store, now time.Time) error {
	ctx = withNamespace(ctx, tokens.SecretNamespace)
	obj, err := secrets.List(ctx, &internalversion.ListOptions{
		ResourceVersion: "0", FieldSelector: fields.OneTermEqualSelector("type", string(tokens.SecretType)),
	})
	if err != nil {
		return fmt.Errorf("listing tokens: %w", err)
	}
	var errs []error
	list := obj.(*corev1.SecretList)
	for i := range list.Items {
		grant, wrong := tokens.Parse(&list.Items[i])
		if len(wrong) > 0 || !grant.Expired(now) {
			continue // one that is wrong may be somebody's mistake, and logs nobody in
		}
		// The very Secret that was read: not one that has been given more time since.
		options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &list.Items[i].UID,
			ResourceVersion: &list.Items[i].ResourceVersion}}
		_, _, err := secrets.Delete(ctx, list.Items[i].Name, rest.ValidateAllObjectFunc, options)
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("removing token %s: %w", grant.ID, err))
		}
	}
	return errors.Join(errs...)
}
