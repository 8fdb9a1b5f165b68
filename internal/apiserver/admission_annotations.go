package apiserver

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

// annotationsMakeSense refuses annotations of Viaduct's own that nobody can act on: a check that is misspelled would
// else be none, in silence. What is stored already may stay, so that others can still edit the object.
type annotationsMakeSense struct{}

var _ admission.ValidationInterface = &annotationsMakeSense{}

func (*annotationsMakeSense) Handles(op admission.Operation) bool {
	return op == admission.Create || op == admission.Update
}

// Validate implements admission.ValidationInterface.
func (*annotationsMakeSense) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetSubresource() != "" {
		return nil
	}
	errs := readAnnotations(a.GetObject())
	if len(errs) == 0 || a.GetOperation() == admission.Update && sameWishes(a.GetOldObject(), a.GetObject()) {
		return nil
	}
	return apierrors.NewInvalid(a.GetKind().GroupKind(), a.GetName(), errs)
}

func readAnnotations(obj any) (errs field.ErrorList) {
	switch o := obj.(type) {
	case *corev1.Service:
		_, errs = annotations.OfService(o)
	case *corev1.Endpoints:
		_, errs = annotations.OfEndpoints(o)
	case *discoveryv1.EndpointSlice:
		_, errs = annotations.OfSlice(o)
	}
	return errs
}

// sameWishes says whether two states of an object have the same annotations of ours. A Service that has got a selector
// since is another matter.
func sameWishes(before, after any) bool {
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
