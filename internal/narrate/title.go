package narrate

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// title is the name of an object for people: namespace/name.
func title(obj metav1.Object) string { return obj.GetNamespace() + "/" + obj.GetName() }
