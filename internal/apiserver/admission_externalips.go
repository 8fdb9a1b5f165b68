package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// externalIPsForAdmins lets nobody but an administrator add to the externalIPs of a Service: whoever can takes the
// traffic of every Pod to an address of their choice (CVE-2020-8554). Addresses that a Service has already may stay, so
// that others can still edit it.
//
// Kubernetes' own plugin against this, DenyServiceExternalIPs, is off by default and knows no exception.
type externalIPsForAdmins struct {
	authorizer authorizer.UnconditionalAuthorizer
}

var _ admission.ValidationInterface = &externalIPsForAdmins{}

func (*externalIPsForAdmins) Handles(op admission.Operation) bool {
	return op == admission.Create || op == admission.Update
}

// Validate implements admission.ValidationInterface.
func (e *externalIPsForAdmins) Validate(ctx context.Context, a admission.Attributes,
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
		return fmt.Errorf("asking whether the user is an administrator: %w", err)
	}
	if !admin {
		return admission.NewForbidden(a, errExternalIPs)
	}
	return nil
}

var errExternalIPs = errors.New("only an administrator may add spec.externalIPs to a Service: they divert traffic " +
	"of the whole cluster (CVE-2020-8554)")

// addedExternalIPs returns those of svc that old, nil for none, does not have.
func addedExternalIPs(svc, old *corev1.Service) []string {
	var added []string
	for _, ip := range svc.Spec.ExternalIPs {
		if old == nil || !slices.Contains(old.Spec.ExternalIPs, ip) {
			added = append(added, ip)
		}
	}
	return added
}

// isAdministrator says whether who may do everything with every resource of the cluster.
func isAdministrator(ctx context.Context, a authorizer.UnconditionalAuthorizer, who user.Info) (bool, error) {
	return may(ctx, a, authorizer.AttributesRecord{User: who, Verb: "*", APIGroup: "*", APIVersion: "*", Resource: "*",
		ResourceRequest: true})
}

// may says whether somebody may do something.
func may(ctx context.Context, a authorizer.UnconditionalAuthorizer, what authorizer.AttributesRecord) (bool, error) {
	decision, _, err := a.Authorize(ctx, what)
	if decision == authorizer.DecisionAllow {
		return true, nil // an error beside it is of rules that were not needed
	}
	return false, err
}
