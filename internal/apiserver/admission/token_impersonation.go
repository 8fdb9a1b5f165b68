package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"viaduct/internal/apiserver/tokens"
)

// tokenImpersonation lets a user store a login token for another user only with permission to impersonate that user and
// each of the token's groups. A user that stores the hash of a known token can log in with the token, so permission to
// write Secrets is not enough.
type tokenImpersonation struct {
	authorizer authorizer.UnconditionalAuthorizer
}

var _ admission.ValidationInterface = &tokenImpersonation{}

// Handles implements admission.Interface.
func (*tokenImpersonation) Handles(op admission.Operation) bool { return isCreateOrUpdate(op) }

// Validate implements admission.ValidationInterface.
func (t *tokenImpersonation) Validate(ctx context.Context, a admission.Attributes,
	_ admission.ObjectInterfaces) error {
	secret, ok := a.GetObject().(*corev1.Secret)
	if !ok || a.GetResource().GroupResource() != corev1.Resource("secrets") || secret.Type != tokens.SecretType {
		return nil
	}
	grant, errs := tokens.Parse(secret)
	if len(errs) > 0 {
		return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Secret").GroupKind(), secret.Name, errs)
	}
	if err := t.checkImpersonate(ctx, a, "users", grant.User); err != nil {
		return err
	}
	for _, group := range grant.Groups {
		if err := t.checkImpersonate(ctx, a, "groups", group); err != nil {
			return err
		}
	}
	return nil
}

func (t *tokenImpersonation) checkImpersonate(ctx context.Context, a admission.Attributes, resource,
	name string) error {
	ok, err := allowed(ctx, t.authorizer, authorizer.AttributesRecord{
		User: a.GetUserInfo(), Verb: "impersonate", APIVersion: "v1", Resource: resource, Name: name, ResourceRequest: true,
	})
	switch {
	case ok:
		return nil
	case err != nil:
		return fmt.Errorf("checking the permission to impersonate: %w", err)
	}
	return admission.NewForbidden(a, fmt.Errorf("storing a token needs permission to impersonate its user and groups, "+
		"and user %q may not impersonate %s %q", a.GetUserInfo().GetName(), resource, name))
}
