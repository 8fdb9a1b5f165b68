package validation

import (
	"strings"

	v1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The scopes an object's metadata is checked for.
const (
	namespaced  = true
	clusterWide = false
)

// newMeta checks the metadata of a new object.
func newMeta(meta *metav1.ObjectMeta, inNamespace bool, name apivalidation.ValidateNameFunc) field.ErrorList {
	path := field.NewPath("metadata")
	return concat(apivalidation.ValidateObjectMeta(meta, inNamespace, name, path), objectFinalizers(meta, path))
}

// changedMeta checks the immutable metadata: name, namespace, uid, creation time, and a deletion that has begun.
func changedMeta(meta, old *metav1.ObjectMeta) field.ErrorList {
	path := field.NewPath("metadata")
	return concat(apivalidation.ValidateObjectMetaUpdate(meta, old, path), objectFinalizers(meta, path))
}

func objectFinalizers(meta *metav1.ObjectMeta, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, name := range meta.Finalizers {
		errs = append(errs, standardFinalizer(name, path.Child("finalizers").Index(i))...)
	}
	return errs
}

// standardFinalizer checks that a finalizer without a domain is one of Kubernetes' own. Its syntax is checked
// elsewhere.
func standardFinalizer(name string, path *field.Path) field.ErrorList {
	switch name {
	case string(v1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents:
		return nil
	}
	if strings.Contains(name, "/") {
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, "must be a finalizer of Kubernetes itself, or a name with a "+
		"domain before a slash")}
}

// immutable checks that a value has not changed.
func immutable(path *field.Path, value, old any) field.ErrorList {
	return apivalidation.ValidateImmutableField(value, old, path)
}

// isSubdomain is the syntax of most object names, for checks of a text alone.
func isSubdomain(name string) []string { return apivalidation.NameIsDNSSubdomain(name, false) }
