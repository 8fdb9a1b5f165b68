package apiserver

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
)

// admissionChain is what a write passes between its decoding and the store. The library wants it before the stores
// exist that its steps look things up in: they are put in later, before the first request.
type admissionChain struct {
	steps interface {
		admission.MutationInterface
		admission.ValidationInterface
	}
}

// fill is the one list of admission steps, in their order.
func (c *admissionChain) fill(s *Server) {
	steps := []admission.Interface{
		&namespaceMustExist{namespaces: s.boot.stores.namespaces},
		&nodeKeepsToItself{pods: s.boot.stores.pods},
		&grantWhatYouHold{authorizer: s.authorizer, held: s.roles, stores: s.boot.stores.rbac},
		&podServiceAccount{accounts: s.boot.stores.accounts},
		&tokensForImpersonators{authorizer: s.generic.Authorizer},
		&annotationsMakeSense{},
		&backendsForWhoMayWriteThem{authorizer: s.generic.Authorizer},
		&podAddressesStayHome{
			authorizer: s.generic.Authorizer,
			pods:       objects[*corev1.Pod]{store: s.boot.stores.pods},
			nodes:      objects[*corev1.Node]{store: s.boot.stores.nodes},
		},
	}
	if !s.options.AllowExternalIPs {
		steps = append(steps, &externalIPsForAdmins{authorizer: s.generic.Authorizer})
	}
	c.steps = admission.NewChainHandler(steps...)
}

// Handles implements admission.Interface.
func (c *admissionChain) Handles(op admission.Operation) bool { return c.steps.Handles(op) }

// Admit implements admission.MutationInterface.
func (c *admissionChain) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	return c.steps.Admit(ctx, a, o)
}

// Validate implements admission.ValidationInterface.
func (c *admissionChain) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	return c.steps.Validate(ctx, a, o)
}
