package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/registry/generic/registry"
)

// immortal are the namespaces that cannot be deleted: without them a server does not work, and would make them again.
var immortal = []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic}

// namespaceMustExist refuses to create anything in a namespace that is not there or that is ending, and to end an
// immortal one.
type namespaceMustExist struct{ namespaces *registry.Store }

var _ admission.ValidationInterface = &namespaceMustExist{}

func (*namespaceMustExist) Handles(op admission.Operation) bool {
	return op == admission.Create || op == admission.Delete
}

func (n *namespaceMustExist) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	ofNamespace := a.GetResource().GroupResource() == corev1.Resource("namespaces")
	if a.GetOperation() == admission.Delete {
		if ofNamespace && slices.Contains(immortal, a.GetName()) {
			return apierrors.NewForbidden(corev1.Resource("namespaces"), a.GetName(), errImmortal)
		}
		return nil
	}
	if a.GetNamespace() == "" || ofNamespace {
		return nil
	}
	if a.GetResource().GroupResource() == authorizationv1.Resource("localsubjectaccessreviews") {
		return nil // the answer would tell which namespaces there are
	}
	ns, err := n.get(ctx, a.GetNamespace())
	if err != nil {
		return err
	}
	if ns.DeletionTimestamp == nil || a.GetSubresource() != "" {
		return nil
	}
	denied := apierrors.NewForbidden(a.GetResource().GroupResource(), a.GetName(),
		fmt.Errorf("unable to create new content in namespace %s because it is being terminated", ns.Name))
	denied.ErrStatus.Details.Causes = append(denied.ErrStatus.Details.Causes, metav1.StatusCause{
		Type: corev1.NamespaceTerminatingCause, Message: fmt.Sprintf("namespace %s is being terminated", ns.Name),
		Field: "metadata.namespace",
	})
	return denied
}

var errImmortal = errors.New("this namespace may not be deleted")

// get reads the cache first. Only a miss, which may be a namespace made a moment ago, costs a consistent read.
func (n *namespaceMustExist) get(ctx context.Context, name string) (*corev1.Namespace, error) {
	obj, err := n.namespaces.Get(withNamespace(ctx, ""), name, &metav1.GetOptions{ResourceVersion: "0"})
	if apierrors.IsNotFound(err) {
		obj, err = n.namespaces.Get(withNamespace(ctx, ""), name, &metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) { // said of the namespace, not of what the request would create
		return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), name)
	}
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.Namespace), nil
}
