package printers

import (
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RoleBindings returns the table of rolebindings.
func RoleBindings() Table[*rbacv1.RoleBinding] {
	return Table[*rbacv1.RoleBinding]{
		Columns: bindingColumns(),
		Cells: func(b *rbacv1.RoleBinding, now time.Time) []any {
			return bindingCells(b.ObjectMeta, b.RoleRef, b.Subjects, now)
		},
	}
}

// ClusterRoleBindings returns the table of clusterrolebindings.
func ClusterRoleBindings() Table[*rbacv1.ClusterRoleBinding] {
	return Table[*rbacv1.ClusterRoleBinding]{
		Columns: bindingColumns(),
		Cells: func(b *rbacv1.ClusterRoleBinding, now time.Time) []any {
			return bindingCells(b.ObjectMeta, b.RoleRef, b.Subjects, now)
		},
	}
}

func bindingColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		Name(),
		Column("Role", "The role that is given."),
		Age(),
		Wide("Users", "The users that the role is bound to."),
		Wide("Groups", "The groups that the role is bound to."),
		Wide("ServiceAccounts", "The service accounts that the role is bound to."),
	}
}

func bindingCells(meta metav1.ObjectMeta, ref rbacv1.RoleRef, subjects []rbacv1.Subject, now time.Time) []any {
	var users, groups, accounts []string
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.UserKind:
			users = append(users, s.Name)
		case rbacv1.GroupKind:
			groups = append(groups, s.Name)
		case rbacv1.ServiceAccountKind:
			accounts = append(accounts, s.Namespace+"/"+s.Name)
		}
	}
	return []any{meta.Name, ref.Kind + "/" + ref.Name, Since(meta.CreationTimestamp.Time, now),
		strings.Join(users, ", "), strings.Join(groups, ", "), strings.Join(accounts, ", ")}
}
