package lifecycle

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conditionsOf explains why a namespace has not ended yet, with upstream's condition types, reasons and messages.
func conditionsOf(left *leftovers, failed error) []corev1.NamespaceCondition {
	found := corev1.NamespaceCondition{
		Type: corev1.NamespaceDeletionDiscoveryFailure, Status: corev1.ConditionFalse, Reason: "ResourcesDiscovered",
		Message: "All resources successfully discovered",
	}
	deleted := corev1.NamespaceCondition{
		Type: corev1.NamespaceDeletionContentFailure, Status: corev1.ConditionFalse, Reason: "ContentDeleted",
		Message: "All content successfully deleted, may be waiting on finalization",
	}
	if failed != nil {
		deleted.Status, deleted.Reason, deleted.Message = corev1.ConditionTrue, "ContentDeletionFailed", failed.Error()
	}
	remaining := corev1.NamespaceCondition{
		Type: corev1.NamespaceContentRemaining, Status: corev1.ConditionFalse, Reason: "ContentRemoved",
		Message: "All content successfully removed",
	}
	if len(left.objects) > 0 {
		remaining.Status, remaining.Reason = corev1.ConditionTrue, "SomeResourcesRemain"
		remaining.Message = "Some resources are remaining: " + counted(left.objects, "%s has %d resource instances")
	}
	held := corev1.NamespaceCondition{
		Type: corev1.NamespaceFinalizersRemaining, Status: corev1.ConditionFalse, Reason: "ContentHasNoFinalizers",
		Message: "All content-preserving finalizers finished",
	}
	if len(left.finalizers) > 0 {
		held.Status, held.Reason = corev1.ConditionTrue, "SomeFinalizersRemain"
		held.Message = "Some content in the namespace has finalizers remaining: " + counted(left.finalizers,
			"%s in %d resource instances")
	}
	return []corev1.NamespaceCondition{found, deleted, remaining, held}
}

func counted(numbers map[string]int, form string) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		texts = append(texts, fmt.Sprintf(form, name, numbers[name]))
	}
	return strings.Join(texts, ", ")
}

// setConditions puts conditions into the status of a namespace and reports whether the status changed.
func setConditions(ns *corev1.Namespace, conditions []corev1.NamespaceCondition) (changed bool) {
	for _, c := range conditions {
		changed = setCondition(ns, c) || changed
	}
	return changed
}

func setCondition(ns *corev1.Namespace, c corev1.NamespaceCondition) bool {
	c.LastTransitionTime = metav1.Now()
	i := slices.IndexFunc(ns.Status.Conditions, func(other corev1.NamespaceCondition) bool { return other.Type == c.Type })
	if i < 0 {
		ns.Status.Conditions = append(ns.Status.Conditions, c)
		return true
	}
	was := &ns.Status.Conditions[i]
	if was.Status == c.Status && was.Reason == c.Reason && was.Message == c.Message {
		return false
	}
	if was.Status == c.Status {
		c.LastTransitionTime = was.LastTransitionTime
	}
	*was = c
	return true
}
