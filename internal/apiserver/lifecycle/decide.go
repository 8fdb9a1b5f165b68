package lifecycle

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ownerState is what has become of an owner.
type ownerState int

const (
	alive   ownerState = iota
	absent             // it is gone, or another object has its name now
	waiting            // it ends as soon as its dependents have
	// of a kind that is not served here, or of a namespace where the dependent is of none: nobody can tell
	unknown
)

// verdict is what becomes of a dependent.
type verdict int

const (
	keep   verdict = iota
	unlink         // from the owners that it lost
	end            // it has no owner left
)

// decide says what becomes of an object with owners in these states, in the order of its references. An owner of whom
// nobody can tell keeps its dependents, as a living one does.
func decide(owners []ownerState) verdict {
	lost := func(s ownerState) bool { return s == absent || s == waiting }
	switch {
	case !slices.ContainsFunc(owners, lost):
		return keep
	case slices.ContainsFunc(owners, func(s ownerState) bool { return !lost(s) }):
		return unlink
	}
	return end
}

// policyFor is how an object is deleted that has no owner left. Where an owner waits for everything below it to end, so
// does what is between; else what its user asked for, by a finalizer, is respected.
func policyFor(finalizers []string, owners []ownerState, hasDependents bool) metav1.DeletionPropagation {
	switch {
	case hasDependents && slices.Contains(owners, waiting):
		return metav1.DeletePropagationForeground
	case slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case slices.Contains(finalizers, metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

// without is refs but for those for which drop is true.
func without(refs []metav1.OwnerReference, drop func(types.UID) bool) []metav1.OwnerReference {
	return slices.DeleteFunc(slices.Clone(refs), func(ref metav1.OwnerReference) bool { return drop(ref.UID) })
}

// blocks says whether one of refs keeps owner from ending before the object that has them.
func blocks(refs []metav1.OwnerReference, owner types.UID) bool {
	return slices.ContainsFunc(refs, func(ref metav1.OwnerReference) bool {
		return ref.UID == owner && ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
	})
}

// unblocked is refs, none of which keeps its owner from ending: the way out of a circle whose members wait for one
// another.
func unblocked(refs []metav1.OwnerReference) []metav1.OwnerReference {
	out := slices.Clone(refs)
	for i := range out {
		if out[i].BlockOwnerDeletion != nil {
			no := false
			out[i].BlockOwnerDeletion = &no
		}
	}
	return out
}
