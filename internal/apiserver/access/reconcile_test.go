package access

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
)

// stored returns the objects after all built-in ones were written once.
func stored() Objects {
	c := Reconcile(Objects{})
	o := Objects{ClusterRoles: c.Roles, ClusterRoleBindings: c.Bindings}
	for i := range o.ClusterRoles {
		o.ClusterRoles[i].ResourceVersion = "1"
	}
	for i := range o.ClusterRoleBindings {
		o.ClusterRoleBindings[i].ResourceVersion = "1"
	}
	return o
}

func roleIn(t *testing.T, roles []rbacv1.ClusterRole, name string) *rbacv1.ClusterRole {
	t.Helper()
	i := slices.IndexFunc(roles, func(r rbacv1.ClusterRole) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no role %s", name)
	}
	return &roles[i]
}

func bindingIn(t *testing.T, bindings []rbacv1.ClusterRoleBinding, name string) *rbacv1.ClusterRoleBinding {
	t.Helper()
	i := slices.IndexFunc(bindings, func(b rbacv1.ClusterRoleBinding) bool { return b.Name == name })
	if i < 0 {
		t.Fatalf("no binding %s", name)
	}
	return &bindings[i]
}

func (c Changes) empty() bool { return len(c.Unbind)+len(c.Roles)+len(c.Bindings) == 0 }

func TestReconcileIsIdempotent(t *testing.T) {
	have := stored()
	if c := Reconcile(have); !c.empty() {
		t.Errorf("written again: %+v", c)
	}
	if c := Aggregate(have.ClusterRoles); len(c) != 0 {
		t.Errorf("aggregated again: %+v", c)
	}
}

// A new role has the rules of the roles that it aggregates, two steps deep.
func TestAggregatedAtOnce(t *testing.T) {
	admin := roleIn(t, stored().ClusterRoles, "admin")
	for _, want := range []rbacv1.PolicyRule{
		on(readWrite(), rbacv1.GroupName, "rolebindings", "roles"), on(readWrite(), groupCoordination, "leases"),
		on(read(), groupDiscovery, "endpointslices"),
	} {
		if !slices.ContainsFunc(admin.Rules, func(r rbacv1.PolicyRule) bool { return brief(r) == brief(want) }) {
			t.Errorf("admin lacks %s", brief(want))
		}
	}
}

func TestReconcile(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, o *Objects)
		check  func(t *testing.T, c Changes)
	}{
		{"a permission is missing", func(t *testing.T, o *Objects) {
			r := roleIn(t, o.ClusterRoles, "system:basic-user")
			r.Rules = r.Rules[:1]
		}, func(t *testing.T, c Changes) {
			r := roleIn(t, c.Roles, "system:basic-user")
			if r.ResourceVersion != "1" || !strings.Contains(brief(r.Rules[1]), "selfsubjectreviews") {
				t.Errorf("%+v", r)
			}
		}},
		{"a permission was added", func(t *testing.T, o *Objects) {
			r := roleIn(t, o.ClusterRoles, "system:basic-user")
			r.Rules = append(r.Rules, on(read(), "", "pods"))
		}, wantNothing},
		{"a label was removed", func(t *testing.T, o *Objects) { roleIn(t, o.ClusterRoles, "edit").Labels = nil },
			func(t *testing.T, c Changes) {
				if l := roleIn(t, c.Roles, "edit").Labels; l[labelBootstrapping] != bootstrapping || len(l) != 2 {
					t.Errorf("labels %v", l)
				}
			}},
		{"left alone", func(t *testing.T, o *Objects) {
			r := roleIn(t, o.ClusterRoles, "system:basic-user")
			r.Rules, r.Annotations = nil, map[string]string{annotationAutoUpdate: "false"}
			b := bindingIn(t, o.ClusterRoleBindings, "system:basic-user")
			b.Subjects, b.Annotations = nil, map[string]string{annotationAutoUpdate: "false"}
		}, wantNothing},
		{"a subject is missing", func(t *testing.T, o *Objects) {
			b := bindingIn(t, o.ClusterRoleBindings, "system:public-info-viewer")
			b.Subjects = b.Subjects[:1]
		}, func(t *testing.T, c Changes) {
			b := bindingIn(t, c.Bindings, "system:public-info-viewer")
			if len(b.Subjects) != 2 || b.Subjects[1].Name != user.AllUnauthenticated {
				t.Errorf("subjects %v", b.Subjects)
			}
		}},
		{"a subject was added", func(t *testing.T, o *Objects) {
			b := bindingIn(t, o.ClusterRoleBindings, "cluster-admin")
			b.Subjects = append(b.Subjects, rbacv1.Subject{Kind: "User", Name: "ann"})
		}, wantNothing},
		{"a binding is of another role", func(t *testing.T, o *Objects) {
			bindingIn(t, o.ClusterRoleBindings, "cluster-admin").RoleRef.Name = "view"
		}, func(t *testing.T, c Changes) {
			b := bindingIn(t, c.Bindings, "cluster-admin")
			if !slices.Equal(c.Unbind, []string{"cluster-admin"}) || b.ResourceVersion != "" ||
				b.RoleRef.Name != "cluster-admin" {
				t.Errorf("deletes %v, writes %+v", c.Unbind, b)
			}
		}},
		{"a selector was removed", func(t *testing.T, o *Objects) {
			roleIn(t, o.ClusterRoles,
				"view").AggregationRule.ClusterRoleSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}}
		}, func(t *testing.T, c Changes) {
			if s := roleIn(t, c.Roles, "view").AggregationRule.ClusterRoleSelectors; len(s) != 2 {
				t.Errorf("selectors %v", s)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			have := stored()
			tt.change(t, &have)
			tt.check(t, Reconcile(have))
			if c := Absent(have); !c.empty() {
				t.Errorf("while it runs, a server changes: %+v", c)
			}
		})
	}
}

func wantNothing(t *testing.T, c Changes) {
	t.Helper()
	if !c.empty() {
		t.Errorf("changes %+v", c)
	}
}

func TestAbsent(t *testing.T) {
	have := stored()
	have.ClusterRoles = slices.DeleteFunc(have.ClusterRoles, func(r rbacv1.ClusterRole) bool { return r.Name == "view" })
	have.ClusterRoleBindings = have.ClusterRoleBindings[1:]
	c := Absent(have)
	if len(c.Roles) != 1 || c.Roles[0].Name != "view" || len(c.Roles[0].Rules) == 0 || len(c.Bindings) != 1 ||
		c.Bindings[0].Name != "cluster-admin" {
		t.Errorf("%+v", c)
	}
}

func TestAggregate(t *testing.T) {
	labelled := aggregatedInto("view", role("crontabs", on(read(), "stable.example.com", "crontabs")))
	roles := append(stored().ClusterRoles, labelled)
	changed := Aggregate(roles)
	if len(changed) != 1 || changed[0].Name != "view" || !strings.Contains(brief(changed[0].Rules[0]), "crontabs") {
		t.Fatalf("first %+v", changed)
	}
	*roleIn(t, roles, "view") = changed[0]
	if next := Aggregate(roles); len(next) != 1 || next[0].Name != "edit" {
		t.Errorf("then %+v", next)
	}
	self := aggregated("self")
	self.Labels = aggregateLabel("self")
	if c := Aggregate([]rbacv1.ClusterRole{self}); len(c) != 0 {
		t.Errorf("a role gathers itself: %+v", c)
	}
}

func TestConfirmHeld(t *testing.T) {
	r := NewRBAC()
	r.publish(compile(Objects{
		ClusterRoles: []rbacv1.ClusterRole{role("r", on([]string{"get", "list"}, "", "pods", "*/status"),
			paths("/healthz/*"))},
		ClusterRoleBindings: []rbacv1.ClusterRoleBinding{bindUser("r", "ann"), bindUser("gone", "ann")},
	}))
	ann := &user.DefaultInfo{Name: "ann", Groups: []string{"dev"}}
	tests := []struct {
		name    string
		grant   rbacv1.PolicyRule
		missing string // empty: the permission is held
	}{
		{"less", on([]string{"get"}, "", "pods"), ""},
		{"a subresource of any", on([]string{"get"}, "", "nodes/status"), ""},
		{"one name", rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"},
			ResourceNames: []string{"a"}}, ""},
		{"a path below", paths("/healthz/etcd"), ""},
		{"more verbs", on([]string{"get", "watch", "create"}, "", "pods"),
			`{APIGroups:[""], Resources:["pods"], Verbs:["watch" "create"]}`},
		{"another path", paths("/metrics"), `{NonResourceURLs:["/metrics"], Verbs:["get"]}`},
		{"everything", on([]string{"*"}, "*", "*"), `{APIGroups:["*"], Resources:["*"], Verbs:["*"]}`},
	}
	for _, tt := range tests {
		err := r.ConfirmHeld(t.Context(), ann, "", []rbacv1.PolicyRule{tt.grant})
		if tt.missing == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		want := `user "ann" (groups=["dev"]) is attempting to grant RBAC permissions not currently held:` + "\n" +
			tt.missing +
			`; resolution errors: [clusterrole.rbac.authorization.k8s.io "gone" not found]`
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", tt.name, err, want)
		}
	}
}
