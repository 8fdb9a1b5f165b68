package apiserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/registry/generic/registry"
)

// defaultServiceAccount is the one of Pods that name none; every namespace is given it.
const defaultServiceAccount = "default"

// podServiceAccount gives a new Pod the default ServiceAccount if it names none, and refuses one that names an account
// which does not exist. Unlike upstream's plugin ServiceAccount it does not insist that the default account exists:
// whoever applies a namespace and its Pods in one go would have to wait for it, and here nothing needs it. Nor does it
// add a volume with a token of the account, for the node agent has no projected volumes: a Pod that wants to talk to
// the API brings a token of its own.
type podServiceAccount struct{ accounts *registry.Store }

var (
	_ admission.MutationInterface   = &podServiceAccount{}
	_ admission.ValidationInterface = &podServiceAccount{}
)

func (*podServiceAccount) Handles(op admission.Operation) bool { return op == admission.Create }

// newPod is the Pod that a request creates; nil if it does something else.
func newPod(a admission.Attributes) *corev1.Pod {
	if a.GetResource().GroupResource() != corev1.Resource("pods") || a.GetSubresource() != "" {
		return nil
	}
	pod, _ := a.GetObject().(*corev1.Pod)
	return pod
}

// Admit implements admission.MutationInterface.
func (p *podServiceAccount) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	pod := newPod(a)
	if pod == nil {
		return nil
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultServiceAccount
	}
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName // one field under two names
	if len(pod.Spec.ImagePullSecrets) > 0 {
		return nil
	}
	account, err := p.get(ctx, a.GetNamespace(), pod.Spec.ServiceAccountName)
	if err != nil {
		return nil // Validate says so, after those steps that have more to say
	}
	pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, account.ImagePullSecrets...)
	return nil
}

// Validate implements admission.ValidationInterface.
func (p *podServiceAccount) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
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

func (p *podServiceAccount) get(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return getThrough(ctx, p.accounts, namespace, name, func(*corev1.ServiceAccount) bool { return true })
}
