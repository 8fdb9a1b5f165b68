package apiserver_test

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"viaduct/internal/apiserver/apitest"
)

func bindingTo(kind, role, user string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role + "-" + user},
		RoleRef:    rbacv1.RoleRef{Kind: kind, Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: user}},
	}
}

func clusterBindingTo(role, user string) *rbacv1.ClusterRoleBinding {
	b := bindingTo("ClusterRole", role, user)
	return &rbacv1.ClusterRoleBinding{ObjectMeta: b.ObjectMeta, RoleRef: b.RoleRef, Subjects: b.Subjects}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func ruleOn(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: []string{resource}}
}

// giveTo creates a cluster role and binds it to user in all namespaces.
func giveTo(t *testing.T, server *apitest.Server, user string, role *rbacv1.ClusterRole) {
	t.Helper()
	rbac := server.Client(t).RbacV1()
	if _, err := rbac.ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bind(t, server, clusterBindingTo(role.Name, user))
}

func bind(t *testing.T, server *apitest.Server, b *rbacv1.ClusterRoleBinding) {
	t.Helper()
	if _, err := server.Client(t).RbacV1().ClusterRoleBindings().Create(t.Context(), b,
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// writeOnly is permission to write roles and bindings. It does not allow a user to grant more than the user holds.
func writeOnly() rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"get", "list", "create", "update", "patch"},
		APIGroups: []string{rbacv1.GroupName},
		Resources: []string{"roles", "rolebindings", "clusterroles", "clusterrolebindings"}}
}

// A user who may write roles cannot grant more than the user holds.
func TestEscalationCheck(t *testing.T) {
	server := apitest.Start(t)
	giveTo(t, server, "ann", clusterRole("granter", writeOnly(), ruleOn("", "configmaps", "get", "list")))
	ann := as(t, server, "ann").RbacV1()
	eventually(t, "ann may write roles", func() bool {
		_, err := ann.ClusterRoles().List(t.Context(), metav1.ListOptions{})
		return err == nil
	})
	create := metav1.CreateOptions{}
	_, err := ann.ClusterRoles().Create(t.Context(), clusterRole("less", ruleOn("", "configmaps", "get")), create)
	if err != nil {
		t.Errorf("a role within what ann holds: %v", err)
	}
	_, err = ann.ClusterRoles().Create(t.Context(), clusterRole("more", ruleOn("", "secrets", "get", "list")), create)
	wantRefused(t, "a role with more", err, `{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}`)

	_, err = ann.ClusterRoleBindings().Create(t.Context(), clusterBindingTo("less", "bob"), create)
	if err != nil {
		t.Errorf("a binding to what ann holds: %v", err)
	}
	_, err = ann.ClusterRoleBindings().Create(t.Context(), clusterBindingTo("cluster-admin", "ann"), create)
	wantRefused(t, "a binding to more", err, `{APIGroups:["*"], Resources:["*"], Verbs:["*"]}`)
	_, err = ann.RoleBindings("default").Create(t.Context(), bindingTo("ClusterRole", "edit", "ann"), create)
	wantRefused(t, "a binding to more in a namespace", err, "secrets")
	_, err = ann.RoleBindings("default").Create(t.Context(), bindingTo("Role", "missing", "ann"), create)
	if !apierrors.IsNotFound(err) {
		t.Errorf("a binding to a role that is not there: %v", err)
	}

	gathering := clusterRole("gathering")
	gathering.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{}}}
	_, err = ann.ClusterRoles().Create(t.Context(), gathering, create)
	wantRefused(t, "a role that gathers others", err, "must have cluster-admin privileges to use the aggregationRule")

	label := []byte(`{"metadata":{"labels":{"rbac.authorization.k8s.io/aggregate-to-view":"true"}}}`)
	_, err = ann.ClusterRoles().Patch(t.Context(), "cluster-admin", types.MergePatchType, label, metav1.PatchOptions{})
	wantRefused(t, "a label on a role with more", err, "attempting to grant")
}

func wantRefused(t *testing.T, what string, err error, text string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v, want forbidden because of %s", what, err, text)
	}
}

// The verbs escalate and bind allow a user to grant what the user does not hold, and nothing more.
func TestEscalateAndBind(t *testing.T) {
	server := apitest.Start(t)
	bindView := rbacv1.PolicyRule{Verbs: []string{"bind"}, APIGroups: []string{rbacv1.GroupName},
		Resources:     []string{"clusterroles"},
		ResourceNames: []string{"view"}}
	giveTo(t, server, "binder", clusterRole("binder", writeOnly(), bindView))
	giveTo(t, server, "escalator", clusterRole("escalator", writeOnly(), ruleOn(rbacv1.GroupName, "clusterroles",
		"escalate")))
	create := metav1.CreateOptions{}
	binder, escalator := as(t, server, "binder").RbacV1(), as(t, server, "escalator").RbacV1()
	eventually(t, "the binder binds view", func() bool {
		_, err := binder.ClusterRoleBindings().Create(t.Context(), clusterBindingTo("view", "bob"), create)
		return err == nil
	})
	_, err := binder.ClusterRoleBindings().Create(t.Context(), clusterBindingTo("edit", "bob"), create)
	wantRefused(t, "binding another role", err, "secrets")
	eventually(t, "the escalator writes a role", func() bool {
		_, err := escalator.ClusterRoles().Create(t.Context(), clusterRole("secrets", ruleOn("", "secrets", "get")), create)
		return err == nil
	})
	_, err = escalator.ClusterRoleBindings().Create(t.Context(), clusterBindingTo("secrets", "bob"), create)
	wantRefused(t, "binding what one was let write", err, "secrets")
}

// The garbage collector can remove finalizers from roles that it could not grant.
func TestEscalationCheckAllowsFinalizers(t *testing.T) {
	server := apitest.Start(t)
	rich := clusterRole("rich", ruleOn("", "secrets", "get"))
	rich.Finalizers = []string{"example.com/hold"}
	if _, err := server.Client(t).RbacV1().ClusterRoles().Create(t.Context(), rich, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	giveTo(t, server, "gc", clusterRole("gc", writeOnly()))
	gc := as(t, server, "gc").RbacV1()
	eventually(t, "the finalizer goes", func() bool {
		_, err := gc.ClusterRoles().Patch(t.Context(), "rich", types.MergePatchType,
			[]byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		return err == nil
	})
	_, err := gc.ClusterRoles().Patch(t.Context(), "rich", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
	wantRefused(t, "a label", err, "secrets")
}
