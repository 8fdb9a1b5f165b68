package lifecycle

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ownerState is the state of one owner of an object.
type ownerState int

const (
	alive   ownerState = iota
	absent             // deleted, or another object has its name now
	waiting            // being deleted, and waiting for its dependents to be deleted first
	unknown            // of a kind that is not served here, or namespaced while the dependent is cluster-scoped
)

// verdict is what happens to a dependent.
type verdict int

const (
	keep   verdict = iota
	unlink         // remove the lost owners from its references
	end            // delete it: no owner is left
)

// decide returns what happens to an object whose owners have these states. An owner in state unknown keeps its
// dependents, as a living owner does.
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

// policyFor returns the propagation policy for the deletion of an object that has no owner left. If an owner waits
// for its dependents, objects in between wait for theirs too. Otherwise a finalizer that the user set decides.
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

// without returns refs without the references whose UID drop accepts.
func without(refs []metav1.OwnerReference, drop func(types.UID) bool) []metav1.OwnerReference {
	return slices.DeleteFunc(slices.Clone(refs), func(ref metav1.OwnerReference) bool { return drop(ref.UID) })
}

// blocks reports whether one of refs blocks the deletion of owner.
func blocks(refs []metav1.OwnerReference, owner types.UID) bool {
	return slices.ContainsFunc(refs, func(ref metav1.OwnerReference) bool {
		return ref.UID == owner && ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
	})
}

// unblocked returns refs with blockOwnerDeletion turned off. It breaks a circle of objects that wait for one
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
