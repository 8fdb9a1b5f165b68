package admission

import (
	"context"
	"errors"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"viaduct/internal/apiserver/access"
	"viaduct/internal/apiserver/resource"
)

// rbacEscalationCheck prevents privilege escalation: a user may write a role, or a binding to a role, only if the user
// holds all of its rules already, or has the verb escalate on the role, or bind on the role bound. A change of a role's
// labels counts as a change of its rules: aggregated roles select by labels.
//
// See https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping.
type rbacEscalationCheck struct {
	authorizer   authorizer.UnconditionalAuthorizer
	rbac         *access.RBAC
	roles        resource.Storage[*rbacv1.Role]
	clusterRoles resource.Storage[*rbacv1.ClusterRole]
}

var _ admission.ValidationInterface = &rbacEscalationCheck{}

// Handles implements admission.Interface.
func (*rbacEscalationCheck) Handles(op admission.Operation) bool { return isCreateOrUpdate(op) }

// Validate implements admission.ValidationInterface.
func (c *rbacEscalationCheck) Validate(ctx context.Context, a admission.Attributes,
	_ admission.ObjectInterfaces) error {
	who := a.GetUserInfo()
	if a.GetResource().Group != rbacv1.GroupName || who == nil || slices.Contains(who.GetGroups(),
		user.SystemPrivilegedGroup) {
		return nil
	}
	if changesOnlyGCFields(a.GetObject(), a.GetOldObject()) {
		return nil
	}
	refused, err := c.refuse(ctx, a)
	if refused != nil {
		return apierrors.NewForbidden(a.GetResource().GroupResource(), a.GetName(), refused)
	}
	return err
}

// refuse returns in refused why the user may not write the object, and in err why that is unknown.
func (c *rbacEscalationCheck) refuse(ctx context.Context, a admission.Attributes) (refused, err error) {
	switch obj := a.GetObject().(type) {
	case *rbacv1.Role:
		return c.refuseRules(ctx, a, obj.Rules)
	case *rbacv1.ClusterRole:
		refused, err := c.refuseRules(ctx, a, obj.Rules)
		old, _ := a.GetOldObject().(*rbacv1.ClusterRole)
		if refused != nil || err != nil || obj.AggregationRule == nil && (old == nil || old.AggregationRule == nil) {
			return refused, err
		}
		return c.refuseAggregation(ctx, a)
	case *rbacv1.RoleBinding:
		return c.refuseBinding(ctx, a, obj.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		return c.refuseBinding(ctx, a, obj.RoleRef)
	}
	return nil, nil
}

// changesOnlyGCFields reports whether a change touches only what the garbage collector changes before it deletes an
// object.
func changesOnlyGCFields(obj, old runtime.Object) bool {
	was, ok := old.(resource.Object)
	if !ok {
		return false
	}
	same := obj.DeepCopyObject().(resource.Object)
	same.SetOwnerReferences(was.GetOwnerReferences())
	same.SetFinalizers(was.GetFinalizers())
	same.SetManagedFields(was.GetManagedFields())
	return apiequality.Semantic.DeepEqual(same, was)
}

func (c *rbacEscalationCheck) refuseRules(ctx context.Context, a admission.Attributes,
	rules []rbacv1.PolicyRule) (refused,
	err error) {
	may, err := c.may(ctx, a, "escalate", a.GetResource().Resource, a.GetName())
	if may || err != nil {
		return nil, err
	}
	return c.rbac.ConfirmHeld(ctx, a.GetUserInfo(), a.GetNamespace(), rules), nil
}

// refuseAggregation lets only users who hold every rule write an aggregationRule: it selects future roles too.
func (c *rbacEscalationCheck) refuseAggregation(ctx context.Context, a admission.Attributes) (refused, err error) {
	may, err := c.may(ctx, a, "escalate", a.GetResource().Resource, a.GetName())
	if may || err != nil {
		return nil, err
	}
	everything := []rbacv1.PolicyRule{
		{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}, {Verbs: []string{"*"},
			NonResourceURLs: []string{"*"}},
	}
	if c.rbac.ConfirmHeld(ctx, a.GetUserInfo(), "", everything) != nil {
		return errAggregation, nil
	}
	return nil, nil
}

var errAggregation = errors.New("must have cluster-admin privileges to use the aggregationRule")

// refuseBinding reads the role from etcd: it may be new.
func (c *rbacEscalationCheck) refuseBinding(ctx context.Context, a admission.Attributes, ref rbacv1.RoleRef) (refused,
	err error) {
	resource := "roles"
	if ref.Kind == "ClusterRole" {
		resource = "clusterroles"
	}
	may, err := c.may(ctx, a, "bind", resource, ref.Name)
	if may || err != nil {
		return nil, err
	}
	rules, err := c.rulesOf(ctx, a.GetNamespace(), ref)
	if err != nil {
		return nil, err
	}
	return c.rbac.ConfirmHeld(ctx, a.GetUserInfo(), a.GetNamespace(), rules), nil
}

func (c *rbacEscalationCheck) rulesOf(ctx context.Context, namespace string, ref rbacv1.RoleRef) (
	[]rbacv1.PolicyRule, error) {
	if ref.Kind == "ClusterRole" {
		role, err := c.clusterRoles.Get(ctx, namespace, ref.Name, "")
		if err != nil {
			return nil, err
		}
		return role.Rules, nil
	}
	role, err := c.roles.Get(ctx, namespace, ref.Name, "")
	if err != nil {
		return nil, err
	}
	return role.Rules, nil
}

func (c *rbacEscalationCheck) may(ctx context.Context, a admission.Attributes, verb, resource, name string) (bool,
	error) {
	return allowed(ctx, c.authorizer, authorizer.AttributesRecord{
		User: a.GetUserInfo(), Verb: verb, Namespace: a.GetNamespace(), APIGroup: rbacv1.GroupName, APIVersion: "*",
		Resource: resource, Name: name, ResourceRequest: true,
	})
}
