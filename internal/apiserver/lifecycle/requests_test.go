package lifecycle_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestRequestsToDeleteANamespace(t *testing.T) {
	s := newFixture(t)
	namespaces := s.CoreV1().Namespaces()
	ns := s.namespace("asked")
	if ns.Status.Phase != corev1.NamespaceActive || len(ns.Spec.Finalizers) != 1 ||
		ns.Spec.Finalizers[0] != corev1.FinalizerKubernetes {
		t.Errorf("a new namespace is %s, with finalizers %v", ns.Status.Phase, ns.Spec.Finalizers)
	}
	if err := namespaces.Delete(t.Context(), "asked",
		metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	another := types.UID("another")
	err := namespaces.Delete(t.Context(), "asked",
		metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &another}})
	if !apierrors.IsConflict(err) {
		t.Errorf("deleting another of that name: %v", err)
	}
	if now, err := namespaces.Get(t.Context(), "asked", metav1.GetOptions{}); err != nil || now.DeletionTimestamp != nil {
		t.Fatalf("the namespace is being deleted, or is missing, before its deletion: %v", err)
	}
	s.pod("asked")
	for range 2 { // the second request changes nothing
		if err := namespaces.Delete(t.Context(), "asked", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	now, err := namespaces.Get(t.Context(), "asked", metav1.GetOptions{})
	if err != nil || now.Status.Phase != corev1.NamespaceTerminating || now.DeletionTimestamp == nil {
		t.Errorf("it is %v, %v, while its pod ends", now, err)
	}
	if err := namespaces.Delete(t.Context(), "none", metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("deleting none: %v", err)
	}
}

func TestAnEmptyNamespaceEndsAtOnce(t *testing.T) {
	s := newFixture(t)
	s.namespace("empty")
	s.await("it has its default objects", func() bool {
		_, err := s.CoreV1().ConfigMaps("empty").Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		return err == nil
	})
	begin := time.Now()
	if err := s.CoreV1().Namespaces().Delete(t.Context(), "empty", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.await("it is gone", func() bool { return s.namespaceIsGone("empty") })
	if took := time.Since(begin); took > 2*time.Second { // upstream retries after some seconds
		t.Errorf("it took %s", took)
	} else {
		t.Logf("it took %s", took)
	}
}

// TestOrphanDependents uses the field that propagationPolicy has replaced.
func TestOrphanDependents(t *testing.T) {
	for _, orphan := range []bool{true, false} {
		s := newFixture(t)
		s.config("child", by(s.config("owner")))
		err := s.CoreV1().ConfigMaps("default").Delete(t.Context(), "owner", metav1.DeleteOptions{OrphanDependents: &orphan})
		if err != nil {
			t.Fatal(err)
		}
		s.await("the owner is gone", func() bool { return s.isGone("owner") })
		if !orphan {
			s.await("the child is gone, too", func() bool { return s.isGone("child") })
			continue
		}
		if child, err := s.get("child"); err != nil || len(child.OwnerReferences) > 0 {
			t.Errorf("the child that was to stay: %v, %v", child, err)
		}
	}
}

// TestTheServerStopsInTheMidst stops servers while reads and writes for a namespace that ends are under way.
func TestTheServerStopsInTheMidst(t *testing.T) {
	for range 5 {
		s := newFixture(t)
		s.namespace("ending")
		s.pod("ending")
		if err := s.CoreV1().Namespaces().Delete(t.Context(), "ending", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		s.server.Stop()
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
	}
}
