package validation

import (
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The scopes an object's metadata is checked for.
const (
	namespaced  = true
	clusterWide = false
)

// newMeta checks the metadata of an object about to be stored for the first time.
func newMeta(meta *metav1.ObjectMeta, inNamespace bool, name apivalidation.ValidateNameFunc) field.ErrorList {
	return apivalidation.ValidateObjectMeta(meta, inNamespace, name, field.NewPath("metadata"))
}

// changedMeta checks what may not change in metadata: name, namespace, uid, creation time, a deletion once begun.
func changedMeta(meta, old *metav1.ObjectMeta) field.ErrorList {
	return apivalidation.ValidateObjectMetaUpdate(meta, old, field.NewPath("metadata"))
}

// immutable checks that value is what it was.
func immutable(path *field.Path, value, old any) field.ErrorList {
	return apivalidation.ValidateImmutableField(value, old, path)
}

// isSubdomain is the syntax of most object names, for a check that wants only the text.
func isSubdomain(name string) []string { return apivalidation.NameIsDNSSubdomain(name, false) }
