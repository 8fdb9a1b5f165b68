package apiserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"viaduct/internal/apiserver/tokens"
)

// tokensForImpersonators lets a token for somebody be written only by who may act as that user and as a member of each
// of the groups anyway: whoever writes the hash of a token that they know can log in by it. The right to write Secrets
// is not enough.
type tokensForImpersonators struct {
	authorizer authorizer.UnconditionalAuthorizer
}

var _ admission.ValidationInterface = &tokensForImpersonators{}

func (*tokensForImpersonators) Handles(op admission.Operation) bool {
	return op == admission.Create || op == admission.Update
}

// Validate implements admission.ValidationInterface.
func (t *tokensForImpersonators) Validate(ctx context.Context, a admission.Attributes,
	_ admission.ObjectInterfaces) error {
	secret, ok := a.GetObject().(*corev1.Secret)
	if !ok || a.GetResource().GroupResource() != corev1.Resource("secrets") || secret.Type != tokens.SecretType {
		return nil
	}
	grant, errs := tokens.Parse(secret)
	if len(errs) > 0 {
		return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Secret").GroupKind(), secret.Name, errs)
	}
	if err := t.mayActAs(ctx, a, "users", grant.User); err != nil {
		return err
	}
	for _, group := range grant.Groups {
		if err := t.mayActAs(ctx, a, "groups", group); err != nil {
			return err
		}
	}
	return nil
}

func (t *tokensForImpersonators) mayActAs(ctx context.Context, a admission.Attributes, resource, name string) error {
	decision, _, err := t.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: a.GetUserInfo(), Verb: "impersonate", APIVersion: "v1", Resource: resource, Name: name, ResourceRequest: true,
	})
	switch {
	case decision == authorizer.DecisionAllow:
		return nil // an error beside it is of rules that were not needed
	case err != nil:
		return fmt.Errorf("asking whether the user may impersonate: %w", err)
	}
	return admission.NewForbidden(a, fmt.Errorf("a token for somebody is made by who may impersonate them, and user %q "+
		"may not impersonate %s %q", a.GetUserInfo().GetName(), resource, name))
}
