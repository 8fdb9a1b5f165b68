package apiserver

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"viaduct/internal/annotations"
)

// backendsForWhoMayWriteThem lets nobody name backends on a Service who could not write its EndpointSlices: the
// controller writes them by what the names stand for, with its own rights. The built-in role edit may write Services
// and no endpoints. Backends that are named already may stay, so that others can still edit the Service.
type backendsForWhoMayWriteThem struct {
	authorizer authorizer.UnconditionalAuthorizer
}

var _ admission.ValidationInterface = &backendsForWhoMayWriteThem{}

func (*backendsForWhoMayWriteThem) Handles(op admission.Operation) bool {
	return op == admission.Create || op == admission.Update
}

// Validate implements admission.ValidationInterface.
func (b *backendsForWhoMayWriteThem) Validate(ctx context.Context, a admission.Attributes,
	_ admission.ObjectInterfaces) error {
	svc, ok := a.GetObject().(*corev1.Service)
	if !ok || a.GetSubresource() != "" || svc.Annotations[annotations.Backends] == "" {
		return nil
	}
	if old, ok := a.GetOldObject().(*corev1.Service); ok &&
		old.Annotations[annotations.Backends] == svc.Annotations[annotations.Backends] {
		return nil
	}
	allowed, err := may(ctx, b.authorizer, authorizer.AttributesRecord{
		User: a.GetUserInfo(), Verb: "create", APIGroup: discoveryv1.GroupName, APIVersion: "v1", Resource: "endpointslices",
		Namespace: a.GetNamespace(), ResourceRequest: true,
	})
	if err != nil {
		return fmt.Errorf("asking whether the user may create endpointslices: %w", err)
	}
	if !allowed {
		return admission.NewForbidden(a, errBackends)
	}
	return nil
}

var errBackends = errors.New("it takes the right to create endpointslices in this namespace to set " +
	annotations.Backends + ": they are made of what the names stand for")
