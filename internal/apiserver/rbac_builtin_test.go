package apiserver_test

import (
	"fmt"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

// what is one action that a user may or may not do.
type what struct {
	verb, group, resource, namespace string
}

func (w what) String() string {
	return fmt.Sprintf("%s %s.%s in %q", w.verb, w.resource, w.group, w.namespace)
}

// may asks the server whether a user may do w.
func may(t *testing.T, server *apitest.Server, user string, w what) bool {
	t.Helper()
	review, err := server.Client(t).AuthorizationV1().SubjectAccessReviews().Create(t.Context(),
		&authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: w.verb, Group: w.group, Resource: w.resource, Namespace: w.namespace,
			}},
		}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

func TestBuiltinRoles(t *testing.T) {
	server := apitest.Start(t)
	rbac := server.Client(t).RbacV1()
	for _, role := range []string{"view", "edit", "admin"} {
		if _, err := rbac.RoleBindings("default").Create(t.Context(), bindingTo("ClusterRole", role, role+"er"),
			metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	bind(t, server, clusterBindingTo("cluster-admin", "root"))
	eventually(t, "the bindings count", func() bool {
		return may(t, server, "root", what{"*", "*", "*", ""}) && may(t, server, "adminer", what{"get", "", "pods",
			"default"})
	})
	tests := []struct {
		user string
		what
		allowed bool
	}{
		{"viewer", what{"list", "", "pods", "default"}, true},
		{"viewer", what{"watch", "discovery.k8s.io", "endpointslices", "default"}, true},
		{"viewer", what{"get", "", "secrets", "default"}, false},
		{"viewer", what{"create", "", "pods", "default"}, false},
		{"viewer", what{"list", "", "pods", "kube-system"}, false},
		{"editer", what{"create", "", "services", "default"}, true},
		{"editer", what{"get", "", "secrets", "default"}, true},
		{"editer", what{"list", "", "pods", "default"}, true},
		{"editer", what{"update", "", "endpoints", "default"}, false},
		{"editer", what{"create", "discovery.k8s.io", "endpointslices", "default"}, false},
		{"editer", what{"create", rbacv1.GroupName, "roles", "default"}, false},
		{"editer", what{"get", "", "nodes", ""}, false},
		{"adminer", what{"create", rbacv1.GroupName, "rolebindings", "default"}, true},
		{"adminer", what{"delete", "", "secrets", "default"}, true},
		{"adminer", what{"create", rbacv1.GroupName, "rolebindings", "kube-system"}, false},
		{"adminer", what{"create", rbacv1.GroupName, "clusterroles", ""}, false},
		{"adminer", what{"update", "", "namespaces", "default"}, false},
		{"root", what{"impersonate", "", "users", ""}, true},
		{"system:kube-proxy", what{"watch", "discovery.k8s.io", "endpointslices", ""}, true},
		{"system:kube-proxy", what{"list", "", "secrets", ""}, false},
		{"system:kube-proxy", what{"list", "", "pods", ""}, false},
		{"system:kube-controller-manager", what{"update", "", "endpoints", "default"}, true},
		{"system:kube-controller-manager", what{"list", "", "secrets", ""}, false},
		{"system:kube-scheduler", what{"list", "", "pods", ""}, true},
		{"nobody", what{"list", "", "pods", "default"}, false},
	}
	for _, tt := range tests {
		if got := may(t, server, tt.user, tt.what); got != tt.allowed {
			t.Errorf("%s may %s: %t, want %t", tt.user, tt.what, got, tt.allowed)
		}
	}
}

// A user with the role admin in a namespace can grant permissions there, and nowhere else.
func TestAdminSharesANamespace(t *testing.T) {
	server := apitest.Start(t)
	if _, err := server.Client(t).RbacV1().RoleBindings("default").Create(t.Context(), bindingTo("ClusterRole", "admin",
		"ann"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ann := as(t, server, "ann").RbacV1()
	eventually(t, "ann gives bob the role edit", func() bool {
		_, err := ann.RoleBindings("default").Create(t.Context(), bindingTo("ClusterRole", "edit", "bob"),
			metav1.CreateOptions{})
		return err == nil
	})
	_, err := ann.RoleBindings("default").Create(t.Context(), bindingTo("ClusterRole", "cluster-admin", "bob"),
		metav1.CreateOptions{})
	wantRefused(t, "giving cluster-admin", err, "attempting to grant")
	_, err = ann.RoleBindings("kube-system").Create(t.Context(), bindingTo("ClusterRole", "edit", "bob"),
		metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("in another namespace: %v", err)
	}
}

func TestBuiltinRolesAreRecreated(t *testing.T) {
	server := apitest.Start(t)
	rbac := server.Client(t).RbacV1()
	if err := rbac.ClusterRoles().DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := rbac.ClusterRoleBindings().DeleteCollection(t.Context(), metav1.DeleteOptions{},
		metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the proxy lists services, and admin has rules", func() bool {
		admin, err := rbac.ClusterRoles().Get(t.Context(), "admin", metav1.GetOptions{})
		return err == nil && len(admin.Rules) > 5 && may(t, server, "system:kube-proxy", what{"list", "", "services", ""})
	})
}

func TestStartWritesNothingTheSecondTime(t *testing.T) {
	server := apitest.Start(t)
	versions := func(s *apitest.Server) map[string]string {
		out := map[string]string{}
		roles, err := s.Client(t).RbacV1().ClusterRoles().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range roles.Items {
			out[r.Name] = r.ResourceVersion
		}
		bindings, err := s.Client(t).RbacV1().ClusterRoleBindings().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range bindings.Items {
			out["binding "+b.Name] = b.ResourceVersion
		}
		return out
	}
	before := versions(server)
	if len(before) < 20 {
		t.Fatalf("only %d roles and bindings", len(before))
	}
	server.Stop()
	after := versions(apitest.StartWith(t, apiserver.Options{DataDir: server.DataDir}))
	for name, version := range before {
		if after[name] != version {
			t.Errorf("%s was written again: %s, before %s", name, after[name], version)
		}
	}
}

// A role with the label is aggregated, and its rules are removed with it.
func TestAggregatedRoles(t *testing.T) {
	server := apitest.Start(t)
	rbac := server.Client(t).RbacV1()
	extra := clusterRole("crontabs", ruleOn("stable.example.com", "crontabs", "get"))
	extra.Labels = map[string]string{"rbac.authorization.k8s.io/aggregate-to-view": "true"}
	if _, err := rbac.ClusterRoles().Create(t.Context(), extra, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bind(t, server, clusterBindingTo("admin", "ann"))
	crontabs := what{"get", "stable.example.com", "crontabs", ""}
	eventually(t, "an admin may read crontabs, by view and edit", func() bool { return may(t, server, "ann", crontabs) })
	if err := rbac.ClusterRoles().Delete(t.Context(), "crontabs", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no more", func() bool { return !may(t, server, "ann", crontabs) })
}

func TestImpersonationNeedsTheVerb(t *testing.T) {
	server := apitest.Start(t)
	giveTo(t, server, "support", clusterRole("support", rbacv1.PolicyRule{
		Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users"}, ResourceNames: []string{"ann"},
	}))
	bind(t, server, clusterBindingTo("view", "ann"))
	eventually(t, "support may be ann", func() bool {
		review, err := server.Client(t).AuthorizationV1().SubjectAccessReviews().Create(t.Context(),
			&authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{User: "support",
					ResourceAttributes: &authorizationv1.ResourceAttributes{
						Verb: "impersonate", Resource: "users", Name: "ann",
					}},
			}, metav1.CreateOptions{})
		return err == nil && review.Status.Allowed
	})
	if may(t, server, "support", what{"impersonate", "", "users", ""}) {
		t.Error("support may be anybody")
	}
	eventually(t, "who is ann may look", func() bool {
		_, err := as(t, server, "ann").CoreV1().Pods(corev1.NamespaceAll).List(t.Context(), metav1.ListOptions{})
		return err == nil
	})
}
