package access

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func resource(verb, group, path, name string) authorizer.AttributesRecord {
	resource, sub, _ := strings.Cut(path, "/")
	return authorizer.AttributesRecord{Verb: verb, APIGroup: group, Resource: resource, Subresource: sub, Name: name,
		ResourceRequest: true}
}

func path(verb, url string) authorizer.AttributesRecord {
	return authorizer.AttributesRecord{Verb: verb, Path: url}
}

func TestRuleAllows(t *testing.T) {
	pods := rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}
	with := func(change func(*rbacv1.PolicyRule)) rbacv1.PolicyRule {
		r := *pods.DeepCopy()
		change(&r)
		return r
	}
	named := with(func(r *rbacv1.PolicyRule) { r.ResourceNames = []string{"a", "b"} })
	all := with(func(r *rbacv1.PolicyRule) {
		r.Verbs, r.APIGroups, r.Resources = []string{"*"}, []string{"*"}, []string{"*"}
	})
	anyStatus := with(func(r *rbacv1.PolicyRule) { r.Resources = []string{"*/status"} })
	podStatus := with(func(r *rbacv1.PolicyRule) { r.Resources = []string{"pods/status"} })
	urls := func(list ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: list}
	}
	tests := []struct {
		name string
		rule rbacv1.PolicyRule
		asks authorizer.AttributesRecord
		want bool
	}{
		{"the same", pods, resource("get", "", "pods", "x"), true},
		{"another verb", pods, resource("list", "", "pods", ""), false},
		{"another group", pods, resource("get", "apps", "pods", "x"), false},
		{"another resource", pods, resource("get", "", "services", "x"), false},
		{"a resource does not include its subresources", pods, resource("get", "", "pods/status", "x"), false},
		{"a subresource does not include its resource", podStatus, resource("get", "", "pods", "x"), false},
		{"a subresource", podStatus, resource("get", "", "pods/status", "x"), true},
		{"another subresource", podStatus, resource("get", "", "pods/log", "x"), false},
		{"a subresource of any", anyStatus, resource("get", "", "nodes/status", "x"), true},
		{"not that subresource of any", anyStatus, resource("get", "", "nodes/proxy", "x"), false},
		{"any, a subresource", all, resource("patch", "apps", "deployments/scale", "x"), true},
		{"any resource is no path", all, path("get", "/metrics"), false},
		{"a name", named, resource("get", "", "pods", "b"), true},
		{"another name", named, resource("get", "", "pods", "c"), false},
		{"no name where one is needed", named, resource("get", "", "pods", ""), false},
		{"a path", urls("/healthz"), path("get", "/healthz"), true},
		{"below a path", urls("/healthz"), path("get", "/healthz/etcd"), false},
		{"below a path with a star", urls("/healthz/*"), path("get", "/healthz/etcd"), true},
		{"a path is not below itself", urls("/healthz/*"), path("get", "/healthz"), false},
		{"a star without a slash", urls("/health*"), path("get", "/healthz/etcd"), true},
		{"every path", urls("*"), path("get", "/metrics"), true},
		{"a path, another verb", urls("*"), path("post", "/metrics"), false},
		{"a star in the middle is none", urls("/a/*/b"), path("get", "/a/x/b"), false},
		{"a path is no resource", urls("*"), resource("get", "", "pods", "x"), false},
	}
	for _, tt := range tests {
		if got := allows(&tt.rule, tt.asks); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestSubjects(t *testing.T) {
	tests := []struct {
		name      string
		subject   rbacv1.Subject
		namespace string // of the binding
		who       user.DefaultInfo
		want      bool
	}{
		{"a user", rbacv1.Subject{Kind: "User", Name: "ann"}, "", user.DefaultInfo{Name: "ann"}, true},
		{"a user is no group", rbacv1.Subject{Kind: "Group", Name: "ann"}, "", user.DefaultInfo{Name: "ann"}, false},
		{"a group", rbacv1.Subject{Kind: "Group", Name: "dev"}, "", user.DefaultInfo{Name: "ann",
			Groups: []string{"a", "dev"}}, true},
		{"a group is no user", rbacv1.Subject{Kind: "User", Name: "dev"}, "", user.DefaultInfo{Name: "ann",
			Groups: []string{"dev"}}, false},
		{"a service account", rbacv1.Subject{Kind: "ServiceAccount", Name: "ci", Namespace: "build"}, "",
			user.DefaultInfo{Name: "system:serviceaccount:build:ci"}, true},
		{"of the binding's namespace", rbacv1.Subject{Kind: "ServiceAccount", Name: "ci"}, "ns",
			user.DefaultInfo{Name: "system:serviceaccount:ns:ci"}, true},
		{"of no namespace", rbacv1.Subject{Kind: "ServiceAccount", Name: "ci"}, "",
			user.DefaultInfo{Name: "system:serviceaccount::ci"}, false},
		{"of another namespace", rbacv1.Subject{Kind: "ServiceAccount", Name: "ci", Namespace: "build"}, "ns",
			user.DefaultInfo{Name: "system:serviceaccount:ns:ci"}, false},
		{"of an unknown kind", rbacv1.Subject{Kind: "Robot", Name: "ann"}, "", user.DefaultInfo{Name: "ann"}, false},
	}
	for _, tt := range tests {
		key, ok := subjectOf(tt.subject, tt.namespace)
		keys := []subject{{name: tt.who.Name}}
		for _, g := range tt.who.Groups {
			keys = append(keys, subject{group: true, name: g})
		}
		if got := ok && slices.Contains(keys, key); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestReasons(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "b"}
	ref := rbacv1.RoleRef{Kind: "ClusterRole", Name: "r"}
	subjects := []rbacv1.Subject{{Kind: "User", Name: "ann"}}
	objects := Objects{
		ClusterRoles: []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "r"},
			Rules: []rbacv1.PolicyRule{on(read(), "", "pods")}}},
		ClusterRoleBindings: []rbacv1.ClusterRoleBinding{{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}},
	}
	asks := resource("get", "", "pods", "x")
	asks.User = &user.DefaultInfo{Name: "ann"}
	if ok, why := compile(objects).decide(asks); !ok ||
		why != `RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to User "ann"` {
		t.Errorf("%t: %s", ok, why)
	}
	objects.ClusterRoles = nil
	if ok, why := compile(objects).decide(asks); ok || why != `RBAC: clusterrole.rbac.authorization.k8s.io "r" not found` {
		t.Errorf("without the role, %t: %s", ok, why)
	}
}

// naive answers as the documentation of RBAC says, by visiting all bindings each time.
func naive(o Objects, who user.Info, a authorizer.Attributes) bool {
	applies := func(subjects []rbacv1.Subject, namespace string) bool {
		return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
			switch s.Kind {
			case "User":
				return s.Name == who.GetName()
			case "Group":
				return slices.Contains(who.GetGroups(), s.Name)
			}
			if s.Namespace == "" {
				s.Namespace = namespace
			}
			return s.Namespace != "" && who.GetName() == "system:serviceaccount:"+s.Namespace+":"+s.Name
		})
	}
	rules := func(ref rbacv1.RoleRef, namespace string) []rbacv1.PolicyRule {
		for _, r := range o.ClusterRoles {
			if ref.Kind == "ClusterRole" && r.Name == ref.Name {
				return r.Rules
			}
		}
		for _, r := range o.Roles {
			if ref.Kind == "Role" && r.Name == ref.Name && r.Namespace == namespace {
				return r.Rules
			}
		}
		return nil
	}
	var held []rbacv1.PolicyRule
	for _, b := range o.ClusterRoleBindings {
		if applies(b.Subjects, "") {
			held = append(held, rules(b.RoleRef, "")...)
		}
	}
	for _, b := range o.RoleBindings {
		if b.Namespace == a.GetNamespace() && applies(b.Subjects, b.Namespace) {
			held = append(held, rules(b.RoleRef, b.Namespace)...)
		}
	}
	return slices.ContainsFunc(held, func(r rbacv1.PolicyRule) bool { return allows(&r, a) })
}

// world makes random roles and bindings of few names, so that they meet.
type world struct{ *rand.Rand }

func (w world) pick(of ...string) string { return of[w.IntN(len(of))] }

func (w world) namespace() string { return w.pick("ns1", "ns2") }

func (w world) rules() []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for range w.IntN(3) {
		r := on([]string{w.pick("get", "list", "*")}, w.pick("", "apps", "*"), w.pick("pods", "pods/status", "*/status",
			"nodes", "*"))
		if w.IntN(4) == 0 {
			r.ResourceNames = []string{w.pick("a", "b")}
		}
		rules = append(rules, r)
	}
	return rules
}

func (w world) subjects() []rbacv1.Subject {
	var list []rbacv1.Subject
	for range w.IntN(4) {
		list = append(list, rbacv1.Subject{
			Kind: w.pick("User", "Group", "ServiceAccount"), Name: w.pick("ann", "bob", "ci"), Namespace: w.pick("", "ns1",
				"ns2"),
		})
	}
	return list
}

func (w world) objects() Objects {
	var o Objects
	for i := range 6 {
		role := w.pick("r1", "r2", "r3")
		o.Roles = append(o.Roles, rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace(), Name: fmt.Sprintf("r%d",
			i)}, Rules: w.rules()})
		o.ClusterRoles = append(o.ClusterRoles, rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("r%d", i)},
			Rules: w.rules()})
		o.RoleBindings = append(o.RoleBindings, rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace(), Name: fmt.Sprint(i)},
			RoleRef:    rbacv1.RoleRef{Kind: w.pick("Role", "ClusterRole"), Name: role}, Subjects: w.subjects(),
		})
		o.ClusterRoleBindings = append(o.ClusterRoleBindings, rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i)}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role},
			Subjects: w.subjects(),
		})
	}
	return o
}

func TestIndexAnswersAsAllBindingsDo(t *testing.T) {
	seed := rand.Uint64()
	w := world{rand.New(rand.NewPCG(seed, 0))}
	allowed := 0
	for range 300 {
		objects := w.objects()
		x := compile(objects)
		for range 60 {
			a := resource(w.pick("get", "list"), w.pick("", "apps"), w.pick("pods", "pods/status", "nodes"),
				w.pick("", "a", "c"))
			a.Namespace = w.pick("", "ns1", "ns2")
			a.User = &user.DefaultInfo{Name: w.pick("ann", "bob", "system:serviceaccount:ns1:ci"),
				Groups: []string{w.pick("ci", "ann", "none")}}
			want := naive(objects, a.User, a)
			if got, why := x.decide(a); got != want {
				t.Fatalf("seed %d: %+v of %+v: %t (%s), want %t\n%+v", seed, a, a.User, got, why, want, objects)
			}
			if want {
				allowed++
			}
		}
	}
	if allowed == 0 || allowed == 300*60 {
		t.Errorf("%d of %d were allowed: nothing was compared", allowed, 300*60)
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, bindings := range []int{100, 10_000} {
		b.Run(fmt.Sprint(bindings), func(b *testing.B) {
			o := Objects{ClusterRoles: builtinRoles(), ClusterRoleBindings: builtinBindings()}
			for i := range bindings {
				one := bindUser("system:aggregate-to-view", fmt.Sprint("user", i))
				o.RoleBindings = append(o.RoleBindings, rbacv1.RoleBinding{
					ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprint(i)}, RoleRef: one.RoleRef, Subjects: one.Subjects,
				})
			}
			x := compile(o)
			a := resource("get", "", "pods", "x")
			a.User, a.Namespace = &user.DefaultInfo{Name: "user7", Groups: []string{user.AllAuthenticated}}, "ns"
			for b.Loop() {
				if ok, _ := x.decide(a); !ok {
					b.Fatal("refused")
				}
			}
		})
	}
}
