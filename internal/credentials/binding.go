package credentials

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// bindRole binds the user to the role. An equal binding may exist already.
func bindRole(ctx context.Context, api kubernetes.Interface, r Request) error {
	if _, err := api.RbacV1().ClusterRoles().Get(ctx, r.Role, metav1.GetOptions{}); err != nil {
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("there is no ClusterRole %q: kubectl get clusterroles lists them", r.Role)
		}
		return fmt.Errorf("reading the role: %w", err)
	}
	meta := metav1.ObjectMeta{Name: bindingName(r.Role, r.User), Namespace: r.Namespace}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: r.Role}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: r.User}}
	var err error
	if r.Namespace == "" {
		_, err = api.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref,
			Subjects: subjects}, metav1.CreateOptions{})
	} else {
		_, err = api.RbacV1().RoleBindings(r.Namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref,
			Subjects: subjects}, metav1.CreateOptions{})
	}
	if apierrors.IsAlreadyExists(err) {
		return checkBinding(ctx, api, r, meta.Name, ref, subjects[0])
	}
	if err != nil {
		return fmt.Errorf("binding %s to role %s: %w", r.User, r.Role, err)
	}
	return nil
}

// checkBinding returns an error unless the existing binding gives the role to the user.
func checkBinding(ctx context.Context, api kubernetes.Interface, r Request, name string, ref rbacv1.RoleRef,
	subject rbacv1.Subject) error {
	var have rbacv1.RoleRef
	var subjects []rbacv1.Subject
	if r.Namespace == "" {
		b, err := api.RbacV1().ClusterRoleBindings().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading the binding: %w", err)
		}
		have, subjects = b.RoleRef, b.Subjects
	} else {
		b, err := api.RbacV1().RoleBindings(r.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading the binding: %w", err)
		}
		have, subjects = b.RoleRef, b.Subjects
	}
	if have != ref || !slices.Contains(subjects, subject) {
		return fmt.Errorf("binding %s exists, but does not give role %s to %s: delete it first", name, r.Role, r.User)
	}
	return nil
}

// bindingName is the name of the binding of a role and a user. A user name that cannot be a part of an object's name is
// replaced by its hash.
func bindingName(role, user string) string {
	name := "viaduct:" + role + ":" + user
	if len(name) > 253 || len(path.IsValidPathSegmentName(name)) > 0 {
		hash := sha256.Sum256([]byte(user))
		name = "viaduct:" + role + ":" + hex.EncodeToString(hash[:8])
	}
	return name
}
