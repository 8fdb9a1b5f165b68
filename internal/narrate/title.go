package narrate

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// title is how a person names an object: namespace/name.
func title(obj metav1.Object) string { return obj.GetNamespace() + "/" + obj.GetName() }
