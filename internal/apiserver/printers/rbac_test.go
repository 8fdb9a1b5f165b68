package printers

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

func TestBindingRows(t *testing.T) {
	subjects := []rbacv1.Subject{
		{Kind: "User", Name: "ann"}, {Kind: "ServiceAccount", Name: "ci", Namespace: "build"}, {Kind: "Group", Name: "dev"},
		{Kind: "User", Name: "bob"},
	}
	ref := rbacv1.RoleRef{Kind: "ClusterRole", Name: "edit"}
	const want = "b | ClusterRole/edit | 5m | ann, bob | dev | build/ci"
	if got := row(t, RoleBindings(), &rbacv1.RoleBinding{ObjectMeta: created("b"), RoleRef: ref,
		Subjects: subjects}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := row(t, ClusterRoleBindings(), &rbacv1.ClusterRoleBinding{ObjectMeta: created("b"), RoleRef: ref,
		Subjects: subjects}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
