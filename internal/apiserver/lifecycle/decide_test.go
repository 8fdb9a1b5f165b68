package lifecycle

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDecide(t *testing.T) {
	tests := []struct {
		name   string
		owners []ownerState
		want   verdict
	}{
		{"no owner at all", nil, keep},
		{"one, alive", []ownerState{alive}, keep},
		{"one, gone", []ownerState{absent}, end},
		{"one that waits for it", []ownerState{waiting}, end},
		{"one that nobody can tell of", []ownerState{unknown}, keep},
		{"one gone of two", []ownerState{alive, absent}, unlink},
		{"one waiting of two", []ownerState{waiting, alive}, unlink},
		{"one gone, of the other nobody can tell", []ownerState{absent, unknown}, unlink},
		{"both gone", []ownerState{absent, absent}, end},
		{"one gone, one waiting", []ownerState{absent, waiting}, end},
	}
	for _, tt := range tests {
		if got := decide(tt.owners); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestPolicyFor(t *testing.T) {
	foreground, orphan := []string{metav1.FinalizerDeleteDependents}, []string{metav1.FinalizerOrphanDependents}
	tests := []struct {
		name          string
		finalizers    []string
		owners        []ownerState
		hasDependents bool
		want          metav1.DeletionPropagation
	}{
		{"plain", nil, []ownerState{absent}, false, metav1.DeletePropagationBackground},
		{"with dependents", nil, []ownerState{absent}, true, metav1.DeletePropagationBackground},
		{"a leaf under an owner that waits", nil, []ownerState{waiting}, false, metav1.DeletePropagationBackground},
		{"between an owner that waits and dependents", nil, []ownerState{waiting}, true, metav1.DeletePropagationForeground},
		{"as its user wants: foreground", foreground, []ownerState{absent}, false, metav1.DeletePropagationForeground},
		{"as its user wants: orphan", orphan, []ownerState{waiting}, true, metav1.DeletePropagationOrphan},
	}
	for _, tt := range tests {
		if got := policyFor(tt.finalizers, tt.owners, tt.hasDependents); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
