package admission

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

// backendsPermission lets a user set the annotation viaduct.dev/backends of a Service only with permission to create
// EndpointSlices: the controller creates slices for these names with its own permissions. The built-in role edit may
// write Services and no endpoints. An update that leaves the annotation as it is passes, so that clients can still edit
// the Service.
type backendsPermission struct {
	authorizer authorizer.UnconditionalAuthorizer
}

var _ admission.ValidationInterface = &backendsPermission{}

// Handles implements admission.Interface.
func (*backendsPermission) Handles(op admission.Operation) bool { return isCreateOrUpdate(op) }

// Validate implements admission.ValidationInterface.
func (b *backendsPermission) Validate(ctx context.Context, a admission.Attributes,
	_ admission.ObjectInterfaces) error {
	svc, isService := a.GetObject().(*corev1.Service)
	if !isService || a.GetSubresource() != "" || svc.Annotations[annotations.Backends] == "" {
		return nil
	}
	if old, isUpdate := a.GetOldObject().(*corev1.Service); isUpdate &&
		old.Annotations[annotations.Backends] == svc.Annotations[annotations.Backends] {
		return nil
	}
	ok, err := allowed(ctx, b.authorizer, authorizer.AttributesRecord{
		User: a.GetUserInfo(), Verb: "create", APIGroup: discoveryv1.GroupName, APIVersion: "v1", Resource: "endpointslices",
		Namespace: a.GetNamespace(), ResourceRequest: true,
	})
	if err != nil {
		return fmt.Errorf("checking the permission to create endpointslices: %w", err)
	}
	if !ok {
		return admission.NewForbidden(a, errBackends)
	}
	return nil
}

var errBackends = errors.New("setting " + annotations.Backends +
	" needs permission to create endpointslices in this namespace: the controller creates them for these names")
