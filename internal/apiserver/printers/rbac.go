package printers

import (
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func roleBindings() table[*rbacv1.RoleBinding] {
	return table[*rbacv1.RoleBinding]{
		columns: bindingColumns(),
		cells: func(b *rbacv1.RoleBinding, now time.Time) []any {
			return bindingCells(b.ObjectMeta, b.RoleRef, b.Subjects, now)
		},
	}
}

func clusterRoleBindings() table[*rbacv1.ClusterRoleBinding] {
	return table[*rbacv1.ClusterRoleBinding]{
		columns: bindingColumns(),
		cells: func(b *rbacv1.ClusterRoleBinding, now time.Time) []any {
			return bindingCells(b.ObjectMeta, b.RoleRef, b.Subjects, now)
		},
	}
}

func bindingColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		name(),
		column("Role", "The role that is given."),
		age(),
		wide("Users", "The users to whom it is given."),
		wide("Groups", "The groups to whom it is given."),
		wide("ServiceAccounts", "The service accounts to whom it is given."),
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
	return []any{meta.Name, ref.Kind + "/" + ref.Name, since(meta.CreationTimestamp.Time, now),
		strings.Join(users, ", "), strings.Join(groups, ", "), strings.Join(accounts, ", ")}
}
