package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
	"viaduct/internal/apiserver/resource"
)

// defaultServiceAccount is the account of Pods that name none. Every namespace has it.
const defaultServiceAccount = "default"

// serviceAccount is upstream's ServiceAccount. It gives a new Pod the default ServiceAccount if the Pod names none, and
// refuses a Pod whose account does not exist. It differs from upstream's in two ways. The default account need not
// exist yet, because a client may create a namespace and its Pods in one go. It adds no volume with a token of the
// account, because the node agent has no projected volumes. A Pod that uses the API brings a token of its own.
type serviceAccount struct {
	accounts resource.Storage[*corev1.ServiceAccount]
}

var (
	_ admission.MutationInterface   = &serviceAccount{}
	_ admission.ValidationInterface = &serviceAccount{}
)

// Handles implements admission.Interface.
func (*serviceAccount) Handles(op admission.Operation) bool { return op == admission.Create }

// newPod returns the Pod that a request creates, or nil if it creates none.
func newPod(a admission.Attributes) *corev1.Pod {
	if a.GetResource().GroupResource() != corev1.Resource("pods") || a.GetSubresource() != "" {
		return nil
	}
	pod, _ := a.GetObject().(*corev1.Pod)
	return pod
}

// Admit implements admission.MutationInterface.
func (p *serviceAccount) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod := newPod(a)
	if pod == nil {
		return nil
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultServiceAccount
	}
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName // the older name of the same field
	if len(pod.Spec.ImagePullSecrets) > 0 {
		return nil
	}
	account, err := p.get(ctx, a.GetNamespace(), pod.Spec.ServiceAccountName)
	if err != nil {
		return nil // Validate reports it, after the other plugins
	}
	pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, account.ImagePullSecrets...)
	return nil
}

// Validate implements admission.ValidationInterface.
func (p *serviceAccount) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod := newPod(a)
	if pod == nil || pod.Spec.ServiceAccountName == defaultServiceAccount {
		return nil
	}
	if _, err := p.get(ctx, a.GetNamespace(), pod.Spec.ServiceAccountName); err != nil {
		return admission.NewForbidden(a, fmt.Errorf("error looking up service account %s/%s: %w", a.GetNamespace(),
			pod.Spec.ServiceAccountName, err))
	}
	return nil
}

func (p *serviceAccount) get(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return p.accounts.CacheThenStore(ctx, namespace, name, func(*corev1.ServiceAccount) bool { return true })
}
