package admission

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
	"viaduct/internal/apiserver/resource"
)

// immortalNamespaces cannot be deleted: the server needs them, and would create them again.
var immortalNamespaces = []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic}

// namespaceLifecycle is upstream's NamespaceLifecycle: it refuses to create an object in a namespace that does not
// exist or that is terminating, and to delete an immortal namespace.
type namespaceLifecycle struct {
	namespaces resource.Storage[*corev1.Namespace]
}

var _ admission.ValidationInterface = &namespaceLifecycle{}

// Handles implements admission.Interface.
func (*namespaceLifecycle) Handles(op admission.Operation) bool {
	return op == admission.Create || op == admission.Delete
}

// Validate implements admission.ValidationInterface.
func (n *namespaceLifecycle) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	isNamespace := a.GetResource().GroupResource() == corev1.Resource("namespaces")
	if a.GetOperation() == admission.Delete {
		if isNamespace && slices.Contains(immortalNamespaces, a.GetName()) {
			return apierrors.NewForbidden(corev1.Resource("namespaces"), a.GetName(), errImmortal)
		}
		return nil
	}
	if a.GetNamespace() == "" || isNamespace {
		return nil
	}
	if a.GetResource().GroupResource() == authorizationv1.Resource("localsubjectaccessreviews") {
		return nil // the answer would reveal which namespaces exist
	}
	ns, err := n.get(ctx, a.GetNamespace())
	if err != nil {
		return err
	}
	if ns.DeletionTimestamp == nil || a.GetSubresource() != "" {
		return nil
	}
	return terminating(a, ns.Name)
}

var errImmortal = errors.New("this namespace may not be deleted")

// terminating is upstream's answer; clients look for its cause.
func terminating(a admission.Attributes, namespace string) error {
	denied := apierrors.NewForbidden(a.GetResource().GroupResource(), a.GetName(),
		fmt.Errorf("unable to create new content in namespace %s because it is being terminated", namespace))
	denied.ErrStatus.Details.Causes = append(denied.ErrStatus.Details.Causes, metav1.StatusCause{
		Type: corev1.NamespaceTerminatingCause, Message: fmt.Sprintf("namespace %s is being terminated", namespace),
		Field: "metadata.namespace",
	})
	return denied
}

// get reads the cache first. Only a miss costs a consistent read: the namespace may be new.
func (n *namespaceLifecycle) get(ctx context.Context, name string) (*corev1.Namespace, error) {
	ns, err := n.namespaces.FromCache(ctx, "", name)
	if apierrors.IsNotFound(err) {
		return n.namespaces.FromStore(ctx, "", name)
	}
	return ns, err
}
