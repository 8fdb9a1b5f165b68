package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/apiserver/tokens"
)

// madeToken is a token that has just been made.
type madeToken struct {
	text, id, user string
	expires        time.Time // zero: never
}

func (m madeToken) describe() string {
	until := "until it is deleted"
	if !m.expires.IsZero() {
		until = "until " + m.expires.Format(time.RFC3339)
	}
	return fmt.Sprintf("token %s logs in %s %s", m.id, m.user, until)
}

// grant makes a token and, where a role is wanted, gives it to the user first: a token without the rights that it was
// made for would be a nuisance, and rights without a token are nothing.
func (o *userOptions) grant(ctx context.Context, api kubernetes.Interface) (madeToken, error) {
	if err := requireViaduct(api); err != nil {
		return madeToken{}, err
	}
	if o.role != "" {
		if err := o.bindRole(ctx, api); err != nil {
			return madeToken{}, err
		}
	}
	made := madeToken{user: o.user}
	if o.ttl > 0 {
		made.expires = time.Now().Add(o.ttl).Truncate(time.Second)
	}
	text, secret := tokens.New(o.user, o.groups, made.expires)
	if _, err := api.CoreV1().Secrets(secret.Namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return madeToken{}, fmt.Errorf("storing the token: %w", err)
	}
	made.text = text
	made.id, _ = tokens.ID(text)
	return made, nil
}

// requireViaduct refuses to make a token at a server that would not know what it is.
func requireViaduct(api kubernetes.Interface) error {
	version, err := api.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("asking the server for its version: %w", err)
	}
	if !strings.Contains(version.GitVersion, "viaduct") {
		return fmt.Errorf("the server is Kubernetes %s, which does not know viaduct's tokens: use kubectl create token there",
			version.GitVersion)
	}
	return nil
}

// bindRole gives the role to the user. That it has been done before is fine.
func (o *userOptions) bindRole(ctx context.Context, api kubernetes.Interface) error {
	if _, err := api.RbacV1().ClusterRoles().Get(ctx, o.role, metav1.GetOptions{}); err != nil {
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("there is no ClusterRole %q: kubectl get clusterroles lists them", o.role)
		}
		return fmt.Errorf("looking up the role: %w", err)
	}
	meta := metav1.ObjectMeta{Name: bindingName(o.role, o.user), Namespace: o.namespace}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: o.role}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: o.user}}
	var err error
	if o.namespace == "" {
		_, err = api.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref,
			Subjects: subjects}, metav1.CreateOptions{})
	} else {
		_, err = api.RbacV1().RoleBindings(o.namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref,
			Subjects: subjects}, metav1.CreateOptions{})
	}
	if apierrors.IsAlreadyExists(err) {
		return o.checkBinding(ctx, api, meta.Name, ref, subjects[0])
	}
	if err != nil {
		return fmt.Errorf("giving role %s to %s: %w", o.role, o.user, err)
	}
	return nil
}

// checkBinding sees to it that a binding which is there already does what it is to do.
func (o *userOptions) checkBinding(ctx context.Context, api kubernetes.Interface, name string, ref rbacv1.RoleRef,
	subject rbacv1.Subject) error {
	var have rbacv1.RoleRef
	var subjects []rbacv1.Subject
	if o.namespace == "" {
		b, err := api.RbacV1().ClusterRoleBindings().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading the binding: %w", err)
		}
		have, subjects = b.RoleRef, b.Subjects
	} else {
		b, err := api.RbacV1().RoleBindings(o.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading the binding: %w", err)
		}
		have, subjects = b.RoleRef, b.Subjects
	}
	if have != ref || !slices.Contains(subjects, subject) {
		return fmt.Errorf("there is a binding %s, but it does not give role %s to %s: delete it first", name, o.role, o.user)
	}
	return nil
}

// bindingName is the same whenever the same role is given to the same user. A user's name that no object can have in
// its name is hashed.
func bindingName(role, user string) string {
	name := "viaduct:" + role + ":" + user
	if len(name) > 253 || len(path.IsValidPathSegmentName(name)) > 0 {
		hash := sha256.Sum256([]byte(user))
		name = "viaduct:" + role + ":" + hex.EncodeToString(hash[:8])
	}
	return name
}

func (o *userOptions) warnOfNoRole(to io.Writer) {
	if o.role == "" {
		fmt.Fprintf(to, "no --role was given: %s may do only what other bindings allow (kubectl auth can-i --list --as "+
			"%[1]s)\n", o.user)
	}
}
