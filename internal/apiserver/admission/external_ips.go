package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// denyServiceExternalIPs lets only administrators add to the externalIPs of a Service: an external IP takes the traffic
// of every Pod to that address (CVE-2020-8554). An update may leave addresses as they are, so that clients can still
// edit the Service.
//
// Upstream's DenyServiceExternalIPs is off by default and has no exemption for administrators.
type denyServiceExternalIPs struct {
	authorizer authorizer.UnconditionalAuthorizer
}

var _ admission.ValidationInterface = &denyServiceExternalIPs{}

// Handles implements admission.Interface.
func (*denyServiceExternalIPs) Handles(op admission.Operation) bool { return isCreateOrUpdate(op) }

// Validate implements admission.ValidationInterface.
func (e *denyServiceExternalIPs) Validate(ctx context.Context, a admission.Attributes,
	_ admission.ObjectInterfaces) error {
	svc, ok := a.GetObject().(*corev1.Service)
	if !ok || a.GetResource().GroupResource() != corev1.Resource("services") || a.GetSubresource() != "" {
		return nil
	}
	old, _ := a.GetOldObject().(*corev1.Service)
	added := addedExternalIPs(svc, old)
	if len(added) == 0 {
		return nil
	}
	admin, err := isAdministrator(ctx, e.authorizer, a.GetUserInfo())
	if err != nil {
		return fmt.Errorf("checking whether the user is an administrator: %w", err)
	}
	if !admin {
		return admission.NewForbidden(a, errExternalIPs)
	}
	return nil
}

var errExternalIPs = errors.New("only an administrator may add spec.externalIPs to a Service: they divert traffic " +
	"of the whole cluster (CVE-2020-8554)")

// addedExternalIPs returns the external IPs of svc that old lacks; old may be nil.
func addedExternalIPs(svc, old *corev1.Service) []string {
	var added []string
	for _, ip := range svc.Spec.ExternalIPs {
		if old == nil || !slices.Contains(old.Spec.ExternalIPs, ip) {
			added = append(added, ip)
		}
	}
	return added
}
