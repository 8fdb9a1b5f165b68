package access

import (
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Objects are all roles and bindings at one moment.
type Objects struct {
	Roles               []rbacv1.Role
	RoleBindings        []rbacv1.RoleBinding
	ClusterRoles        []rbacv1.ClusterRole
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
}

// index answers which rules apply to a user without visiting the bindings of others. It is immutable.
type index struct {
	objects Objects
	given   map[subject]*given
}

// subject is the name of a user or of a group. A ServiceAccount is its user name.
type subject struct {
	group bool
	name  string
}

// given holds the grants of one subject.
type given struct {
	everywhere []grant
	in         map[string][]grant // by namespace
}

// grant is one binding from the view of one of its subjects.
type grant struct {
	*bound
	to string // the subject, for messages
}

// bound is the role of one binding.
type bound struct {
	what  string // the binding and its role, for messages
	rules []rbacv1.PolicyRule
	err   error // set if the role does not exist
}

type roleName struct{ namespace, name string }

// compile builds the index of objects, which must not change afterwards.
func compile(objects Objects) *index {
	x := &index{objects: objects, given: map[subject]*given{}}
	roles := map[roleName][]rbacv1.PolicyRule{}
	for i := range objects.Roles {
		roles[roleName{objects.Roles[i].Namespace, objects.Roles[i].Name}] = objects.Roles[i].Rules
	}
	for i := range objects.ClusterRoles {
		roles[roleName{"", objects.ClusterRoles[i].Name}] = objects.ClusterRoles[i].Rules
	}
	for i := range objects.ClusterRoleBindings {
		b := &objects.ClusterRoleBindings[i]
		what := fmt.Sprintf("ClusterRoleBinding %q of %s %q", b.Name, b.RoleRef.Kind, b.RoleRef.Name)
		x.add("", b.Subjects, bind(what, b.RoleRef, "", roles))
	}
	for i := range objects.RoleBindings {
		b := &objects.RoleBindings[i]
		what := fmt.Sprintf("RoleBinding %q of %s %q", b.Name+"/"+b.Namespace, b.RoleRef.Kind, b.RoleRef.Name)
		x.add(b.Namespace, b.Subjects, bind(what, b.RoleRef, b.Namespace, roles))
	}
	return x
}

// bind looks up the role of a binding in namespace; "" is a cluster role binding.
func bind(what string, ref rbacv1.RoleRef, namespace string, roles map[roleName][]rbacv1.PolicyRule) *bound {
	missing := "role"
	if ref.Kind == "ClusterRole" {
		namespace, missing = "", "clusterrole"
	}
	rules, ok := roles[roleName{namespace, ref.Name}]
	if !ok || namespace == "" && ref.Kind != "ClusterRole" {
		return &bound{what: what, err: apierrors.NewNotFound(rbacv1.Resource(missing), ref.Name)}
	}
	return &bound{what: what, rules: rules}
}

// add gives b to each of the subjects, in namespace or, if namespace is empty, everywhere.
func (x *index) add(namespace string, subjects []rbacv1.Subject, b *bound) {
	for _, s := range subjects {
		key, ok := subjectOf(s, namespace)
		if !ok {
			continue
		}
		g := x.given[key]
		if g == nil {
			g = &given{}
			x.given[key] = g
		}
		to := grant{bound: b, to: describe(s, namespace)}
		if namespace == "" {
			g.everywhere = append(g.everywhere, to)
			continue
		}
		if g.in == nil {
			g.in = map[string][]grant{}
		}
		g.in[namespace] = append(g.in[namespace], to)
	}
}

// subjectOf returns the subject that s means. A ServiceAccount without a namespace is in the namespace of the
// binding.
func subjectOf(s rbacv1.Subject, namespace string) (subject, bool) {
	switch s.Kind {
	case rbacv1.UserKind:
		return subject{name: s.Name}, true
	case rbacv1.GroupKind:
		return subject{group: true, name: s.Name}, true
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		return subject{name: serviceaccount.MakeUsername(namespace, s.Name)}, namespace != ""
	}
	return subject{}, false
}

func describe(s rbacv1.Subject, namespace string) string {
	if s.Kind != rbacv1.ServiceAccountKind {
		return fmt.Sprintf("%s %q", s.Kind, s.Name)
	}
	if s.Namespace != "" {
		namespace = s.Namespace
	}
	return fmt.Sprintf("%s %q", s.Kind, s.Name+"/"+namespace)
}

// visit calls each with every grant of who in namespace until each returns false. An empty namespace is for
// cluster-scoped requests. A binding that names who several times, by user and by group, is visited several times.
func (x *index) visit(who user.Info, namespace string, each func(grant) bool) {
	if !x.visitSubject(subject{name: who.GetName()}, namespace, each) {
		return
	}
	for _, group := range who.GetGroups() {
		if !x.visitSubject(subject{group: true, name: group}, namespace, each) {
			return
		}
	}
}

func (x *index) visitSubject(s subject, namespace string, each func(grant) bool) bool {
	g := x.given[s]
	if g == nil {
		return true
	}
	for _, grant := range g.everywhere {
		if !each(grant) {
			return false
		}
	}
	if namespace == "" {
		return true
	}
	for _, grant := range g.in[namespace] {
		if !each(grant) {
			return false
		}
	}
	return true
}
