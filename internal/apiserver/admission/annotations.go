package admission

import (
	"context"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"

	"viaduct/internal/annotations"
)

// annotationValidation refuses invalid annotations of the domain viaduct.dev: a misspelled health check would otherwise
// be ignored silently. An update that leaves them as they are passes, so that clients can still edit the object.
type annotationValidation struct{}

var _ admission.ValidationInterface = &annotationValidation{}

// Handles implements admission.Interface.
func (*annotationValidation) Handles(op admission.Operation) bool { return isCreateOrUpdate(op) }

// Validate implements admission.ValidationInterface.
func (*annotationValidation) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetSubresource() != "" {
		return nil
	}
	errs := validateAnnotations(a.GetObject())
	if len(errs) == 0 || a.GetOperation() == admission.Update && sameSettings(a.GetOldObject(), a.GetObject()) {
		return nil
	}
	return apierrors.NewInvalid(a.GetKind().GroupKind(), a.GetName(), errs)
}

func validateAnnotations(obj any) (errs field.ErrorList) {
	switch o := obj.(type) {
	case *corev1.Service:
		_, errs = annotations.OfService(o)
	case *corev1.Endpoints:
		_, errs = annotations.OfEndpoints(o)
	case *corev1.Pod:
		errs = annotations.OfPod(o)
	case *discoveryv1.EndpointSlice:
		_, errs = annotations.OfSlice(o)
	}
	return errs
}

// sameSettings reports whether two versions of an object have the same annotations of viaduct.dev. A Service that gains
// or loses its selector is not the same: some annotations are invalid beside a selector.
func sameSettings(before, after any) bool {
	if was, ok := before.(*corev1.Service); ok &&
		(len(was.Spec.Selector) > 0) != (len(after.(*corev1.Service).Spec.Selector) > 0) {
		return false
	}
	return maps.Equal(ourAnnotations(before), ourAnnotations(after))
}

func ourAnnotations(obj any) map[string]string {
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil
	}
	ours := maps.Clone(m.GetAnnotations())
	maps.DeleteFunc(ours, func(key, _ string) bool { return !strings.HasPrefix(key, annotations.Prefix) })
	return ours
}
