package lifecycle_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"viaduct/internal/apiserver/apitest"
)

func TestEveryNamespaceHasDefaultObjects(t *testing.T) {
	s := newFixture(t)
	s.namespace("new")
	for _, ns := range []string{"default", "kube-system", "new"} {
		s.await(ns+" has its service account and its certificate authority", func() bool {
			_, accountErr := s.CoreV1().ServiceAccounts(ns).Get(t.Context(), "default", metav1.GetOptions{})
			cm, err := s.CoreV1().ConfigMaps(ns).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
			return accountErr == nil && err == nil && cm.Data["ca.crt"] != ""
		})
	}
}

func TestDefaultObjectsComeBack(t *testing.T) {
	s := newFixture(t)
	configs := s.CoreV1().ConfigMaps("default")
	s.await("it is there", func() bool { return !s.isGone("kube-root-ca.crt") })
	was, err := s.get("kube-root-ca.crt")
	must(t, was, err)
	edited := was.DeepCopy()
	edited.Data = map[string]string{"ca.crt": "another", "more": "x"}
	_, err = configs.Update(t.Context(), edited, metav1.UpdateOptions{})
	must(t, edited, err)
	s.await("the edit is undone", func() bool {
		cm, err := s.get("kube-root-ca.crt")
		return err == nil && cm.Data["ca.crt"] == was.Data["ca.crt"] && len(cm.Data) == 1
	})
	s.delete("kube-root-ca.crt", "")
	s.await("it is there again", func() bool {
		cm, err := s.get("kube-root-ca.crt")
		return err == nil && cm.UID != was.UID
	})
	account, err := s.CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{})
	must(t, account, err)
	if err := s.CoreV1().ServiceAccounts("default").Delete(t.Context(), "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.await("the service account is there again", func() bool {
		now, err := s.CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil && now.UID != account.UID
	})
}

// fill creates one object of each kind in a namespace.
func (s *fixture) fill(ns string) {
	s.Helper()
	ctx, meta, none := s.Context(), metav1.ObjectMeta{Name: "x", Namespace: ns}, metav1.CreateOptions{}
	ports := []corev1.ServicePort{{Port: 80}}
	var errs []error
	note := func(_ any, err error) { errs = append(errs, err) }
	note(s.CoreV1().Services(ns).Create(ctx, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: ports,
		Type: corev1.ServiceTypeNodePort}}, none))
	note(s.CoreV1().Endpoints(ns).Create(ctx, &corev1.Endpoints{ObjectMeta: meta}, none))
	note(s.CoreV1().ConfigMaps(ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta}, none))
	note(s.CoreV1().Secrets(ns).Create(ctx, &corev1.Secret{ObjectMeta: meta}, none))
	note(s.CoreV1().ServiceAccounts(ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, none))
	note(s.CoreV1().Events(ns).Create(ctx, &corev1.Event{ObjectMeta: meta,
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "x", Namespace: ns}}, none))
	note(s.CoordinationV1().Leases(ns).Create(ctx, &coordinationv1.Lease{ObjectMeta: meta}, none))
	note(s.DiscoveryV1().EndpointSlices(ns).Create(ctx, &discoveryv1.EndpointSlice{ObjectMeta: meta,
		AddressType: discoveryv1.AddressTypeIPv4}, none))
	note(s.RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: meta}, none))
	note(s.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta,
		RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "x"}}, none))
	for _, err := range errs {
		must(s.T, s, err)
	}
}

// pod creates a Pod on the test's node. Its deletion waits for the agent, which does not run.
func (s *fixture) pod(ns string) {
	s.Helper()
	pod, err := s.CoreV1().Pods(ns).Create(s.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pod"},
		Spec:       corev1.PodSpec{NodeName: apitest.NodeName, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	must(s.T, pod, err)
}

func TestANamespaceTakesItsContentAlong(t *testing.T) {
	s := newFixture(t)
	s.namespace("full")
	s.fill("full")
	s.pod("full")
	if err := s.CoreV1().Namespaces().Delete(t.Context(), "full", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.await("the pod is being deleted", func() bool {
		pod, err := s.CoreV1().Pods("full").Get(t.Context(), "pod", metav1.GetOptions{})
		return err == nil && pod.DeletionTimestamp != nil
	})
	s.await("the namespace says what it waits for", func() bool {
		return s.says("full", corev1.NamespaceContentRemaining,
			"pods has 1 resource instances")
	})
	_, err := s.CoreV1().ConfigMaps("full").Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late"}}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("creating in a namespace that ends: %v", err)
	}
	now := int64(0)
	if err := s.CoreV1().Pods("full").Delete(t.Context(), "pod",
		metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	s.await("the namespace is gone", func() bool { return s.namespaceIsGone("full") })
	s.namespace("full") // a new namespace of that name is empty
	list, err := s.CoreV1().Services("full").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) > 0 {
		t.Errorf("the new namespace has %d services, %v", len(list.Items), err)
	}
}

// says reports whether a condition of a namespace is true and contains text.
func (s *fixture) says(ns string, condition corev1.NamespaceConditionType, text string) bool {
	obj, err := s.CoreV1().Namespaces().Get(s.Context(), ns, metav1.GetOptions{})
	if err != nil || obj.Status.Phase != corev1.NamespaceTerminating {
		return false
	}
	for _, c := range obj.Status.Conditions {
		if c.Type == condition {
			return c.Status == corev1.ConditionTrue && strings.Contains(c.Message, text)
		}
	}
	return false
}

func TestFinalizersHoldANamespace(t *testing.T) {
	s := newFixture(t)
	ns := s.namespace("held")
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x", Finalizers: []string{"test.example/hold"}}}
	_, err := s.CoreV1().ConfigMaps("held").Create(t.Context(), cm, metav1.CreateOptions{})
	must(t, ns, err)
	ns.Spec.Finalizers = append(ns.Spec.Finalizers, "test.example/own")
	_, err = s.CoreV1().Namespaces().Finalize(t.Context(), ns, metav1.UpdateOptions{})
	must(t, ns, err)
	if err := s.CoreV1().Namespaces().Delete(t.Context(), "held", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.await("the namespace names the finalizer", func() bool {
		return s.says("held", corev1.NamespaceFinalizersRemaining, "test.example/hold in 1 resource instances")
	})
	patch := []byte(`{"metadata":{"finalizers":null}}`)
	_, err = s.CoreV1().ConfigMaps("held").Patch(t.Context(), "x", types.MergePatchType, patch, metav1.PatchOptions{})
	must(t, cm, err)
	var left *corev1.Namespace
	s.await("only the namespace's own finalizer is left", func() bool {
		left, err = s.CoreV1().Namespaces().Get(t.Context(), "held", metav1.GetOptions{})
		return err == nil && len(left.Spec.Finalizers) == 1
	})
	left.Spec.Finalizers = nil
	_, err = s.CoreV1().Namespaces().Finalize(t.Context(), left, metav1.UpdateOptions{})
	must(t, left, err)
	s.await("the namespace is gone", func() bool { return s.namespaceIsGone("held") })
}

func TestManyNamespacesAtOnce(t *testing.T) {
	const many = 50
	s := newFixture(t)
	for i := range many {
		s.namespace(fmt.Sprintf("n%d", i))
	}
	for i := range many {
		if err := s.CoreV1().Namespaces().Delete(t.Context(), fmt.Sprintf("n%d", i), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s.await("all are gone", func() bool {
		list, err := s.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 4
	})
}

// TestARestartGoesOn stops the server while a namespace and the dependents of an owner still have to end.
func TestARestartGoesOn(t *testing.T) {
	s := newFixture(t)
	s.namespace("ending")
	s.pod("ending")
	owner := s.config("owner")
	s.config("child", blockedBy(owner))
	s.setFinalizers("child", "test.example/hold")
	s.delete("owner", metav1.DeletePropagationForeground)
	if err := s.CoreV1().Namespaces().Delete(t.Context(), "ending", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.server.Stop()
	again := apitest.StartIn(t, s.server.DataDir, netip.MustParsePrefix("127.96.0.0/16"))
	s.Interface = again.Client(t)
	s.setFinalizers("child")
	now := int64(0)
	err := s.CoreV1().Pods("ending").Delete(context.WithoutCancel(t.Context()), "pod",
		metav1.DeleteOptions{GracePeriodSeconds: &now})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	s.await("all have ended", func() bool { return s.namespaceIsGone("ending") && s.isGone("owner") && s.isGone("child") })
}
