package lifecycle

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDecide(t *testing.T) {
	for _, row := range []struct {
		name   string
		owners []ownerState
		want   verdict
	}{
		{"no owner at all", nil, keep},
		{"one that lives", []ownerState{alive}, keep},
		{"one that is gone", []ownerState{absent}, end},
		{"one that waits for it", []ownerState{waiting}, end},
		{"all gone", []ownerState{absent, absent}, end},
		{"one gone, one waits", []ownerState{absent, waiting}, end},
		{"one gone, one lives", []ownerState{absent, alive}, unlink},
		{"one lives, one waits", []ownerState{alive, waiting}, unlink},
		{"unknown", []ownerState{unknown}, keep},
		{"one gone, one unknown", []ownerState{absent, unknown}, unlink},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := decide(row.owners); got != row.want {
				t.Errorf("verdict %d, want %d", got, row.want)
			}
		})
	}
}

func TestPolicyFor(t *testing.T) {
	orphan, foreground := metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents
	for _, row := range []struct {
		name          string
		finalizers    []string
		owners        []ownerState
		hasDependents bool
		want          metav1.DeletionPropagation
	}{
		{"plain", nil, []ownerState{absent}, true, metav1.DeletePropagationBackground},
		{"a foreground finalizer", []string{foreground}, []ownerState{absent}, false, metav1.DeletePropagationForeground},
		{"an orphan finalizer", []string{orphan}, []ownerState{absent}, true, metav1.DeletePropagationOrphan},
		{"between an owner that waits and dependents", nil, []ownerState{absent, waiting}, true,
			metav1.DeletePropagationForeground},
		{"an owner that waits outweighs a updated", []string{orphan}, []ownerState{waiting}, true,
			metav1.DeletePropagationForeground},
		{"the last below an owner that waits", nil, []ownerState{waiting}, false, metav1.DeletePropagationBackground},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := policyFor(row.finalizers, row.owners, row.hasDependents); got != row.want {
				t.Errorf("policy %s, want %s", got, row.want)
			}
		})
	}
}
