package lifecycle_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDependentsEndWithTheirOwner(t *testing.T) {
	s := newFixture(t)
	owner := s.config("owner")
	child := s.config("child", by(owner))
	s.config("grandchild", by(child))
	s.config("bystander")
	s.delete("owner", "")
	s.await("all below the owner are gone", func() bool { return s.isGone("child") && s.isGone("grandchild") })
	if s.isGone("bystander") {
		t.Error("an object without owners is deleted")
	}
}

func TestForegroundEndsTheOwnerLast(t *testing.T) {
	s := newFixture(t)
	owner := s.config("owner")
	child := s.config("child", blockedBy(owner))
	s.config("grandchild", blockedBy(child))
	s.setFinalizers("grandchild", "test.example/hold")
	s.delete("owner", metav1.DeletePropagationForeground)
	s.await("the deletion has come down to the grandchild", func() bool {
		cm, err := s.get("grandchild")
		return err == nil && cm.DeletionTimestamp != nil
	})
	if s.isGone("owner") || s.isGone("child") {
		t.Fatal("an owner is gone before its dependent")
	}
	s.setFinalizers("grandchild")
	s.await("all are gone", func() bool { return s.isGone("grandchild") && s.isGone("child") && s.isGone("owner") })
}

func TestForegroundDoesNotWaitForWhatDoesNotBlock(t *testing.T) {
	s := newFixture(t)
	owner := s.config("owner")
	s.config("child", by(owner))
	s.setFinalizers("child", "test.example/hold")
	s.delete("owner", metav1.DeletePropagationForeground)
	s.await("the owner is gone", func() bool { return s.isGone("owner") })
	if s.isGone("child") {
		t.Error("the child is gone in spite of its finalizer")
	}
	s.setFinalizers("child")
	s.await("the child is gone", func() bool { return s.isGone("child") })
}

func TestOrphansStay(t *testing.T) {
	s := newFixture(t)
	owner := s.config("owner")
	other := s.config("other")
	s.config("child", by(owner), by(other))
	s.delete("owner", metav1.DeletePropagationOrphan)
	s.await("the owner is gone", func() bool { return s.isGone("owner") })
	cm, err := s.get("child")
	if err != nil || len(cm.OwnerReferences) != 1 || cm.OwnerReferences[0].UID != other.UID {
		t.Errorf("the child is %v, %v; want it with the other owner only", cm.OwnerReferences, err)
	}
}

func TestOneOwnerLeftIsEnough(t *testing.T) {
	s := newFixture(t)
	first, second := s.config("first"), s.config("second")
	s.config("child", by(first), by(second))
	s.delete("first", "")
	s.await("the child has lost the first owner", func() bool {
		cm, err := s.get("child")
		return err == nil && len(cm.OwnerReferences) == 1
	})
	s.delete("second", "")
	s.await("the child is gone", func() bool { return s.isGone("child") })
}

func TestOwnersThatAreNotThere(t *testing.T) {
	s := newFixture(t)
	real := s.config("real")
	never := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "never", UID: "no-such-uid"}
	successor := by(real)
	successor.UID = "of-an-earlier-one"
	s.config("without-owner", never)
	s.config("of-a-predecessor", successor)
	s.config("of-both", never, by(real))
	s.await("what has no owner is gone", func() bool { return s.isGone("without-owner") && s.isGone("of-a-predecessor") })
	s.await("the one with an owner has lost the other", func() bool {
		cm, err := s.get("of-both")
		return err == nil && len(cm.OwnerReferences) == 1
	})
	gadget := s.config("of-a-gadget", metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "Gadget", Name: "g",
		UID: "some-uid"})
	s.config("later", never)
	s.await("a later one is gone", func() bool { return s.isGone("later") })
	if s.isGone(gadget.Name) {
		t.Error("an object whose owner is of an unknown kind is deleted")
	}
}

func TestAnOwnerInAnotherNamespaceIsNone(t *testing.T) {
	s := newFixture(t)
	s.namespace("elsewhere")
	far, err := s.CoreV1().ConfigMaps("elsewhere").Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "far"}}, metav1.CreateOptions{})
	must(t, far, err)
	s.config("child", by(far))
	s.await("the child is gone", func() bool { return s.isGone("child") })
	s.await("an event says why", func() bool {
		list, err := s.CoreV1().Events("default").List(t.Context(),
			metav1.ListOptions{FieldSelector: "involvedObject.name=child,reason=OwnerRefInvalidNamespace"})
		return err == nil && len(list.Items) > 0
	})
}

func TestACircleEnds(t *testing.T) {
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground,
		metav1.DeletePropagationForeground} {
		t.Run(string(policy), func(t *testing.T) {
			s := newFixture(t)
			a := s.config("a")
			b := s.config("b", blockedBy(a))
			a.OwnerReferences = []metav1.OwnerReference{blockedBy(b)}
			_, err := s.CoreV1().ConfigMaps("default").Update(t.Context(), a, metav1.UpdateOptions{})
			must(t, a, err)
			s.delete("a", policy)
			s.await("both are gone", func() bool { return s.isGone("a") && s.isGone("b") })
		})
	}
}

// TestManyDependents ends a thousand with their owner, and none of the thousand beside them.
func TestManyDependents(t *testing.T) {
	const many = 1000
	s := newFixture(t)
	owner, other := s.config("owner"), s.config("other")
	for i := range many {
		s.config(fmt.Sprintf("child-%d", i), by(owner))
	}
	s.config("kept", by(other))
	s.delete("owner", "")
	s.await("all children are gone", func() bool {
		list, err := s.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
		return err == nil && len(list.Items) == 3 // with the certificate authority
	})
	if s.isGone("kept") {
		t.Error("another owner's dependent is gone")
	}
}
