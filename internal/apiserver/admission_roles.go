package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"viaduct/internal/apiserver/access"
)

// grantWhatYouHold lets nobody write a role with rules, or a binding to a role, that would allow more than the writer
// may do already, except those with the verb escalate on the role, or bind on the role bound. A change of the labels of
// a role counts as one of its rules: by them a role is gathered into others.
//
// See https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping.
type grantWhatYouHold struct {
	authorizer authorizer.UnconditionalAuthorizer
	held       *access.RBAC
	stores     rbacStores
}

var _ admission.ValidationInterface = &grantWhatYouHold{}

func (*grantWhatYouHold) Handles(op admission.Operation) bool {
	return op == admission.Create || op == admission.Update
}

// Validate implements admission.ValidationInterface.
func (g *grantWhatYouHold) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	who := a.GetUserInfo()
	if a.GetResource().Group != rbacv1.GroupName || who == nil || slices.Contains(who.GetGroups(),
		user.SystemPrivilegedGroup) {
		return nil
	}
	if onlyForCollection(a.GetObject(), a.GetOldObject()) {
		return nil
	}
	refused, err := g.refuse(ctx, a)
	if refused != nil {
		return apierrors.NewForbidden(a.GetResource().GroupResource(), a.GetName(), refused)
	}
	return err
}

// refuse says why the user may not write the object; err is why that cannot be told.
func (g *grantWhatYouHold) refuse(ctx context.Context, a admission.Attributes) (refused, err error) {
	switch obj := a.GetObject().(type) {
	case *rbacv1.Role:
		return g.refuseRules(ctx, a, obj.Rules)
	case *rbacv1.ClusterRole:
		refused, err := g.refuseRules(ctx, a, obj.Rules)
		old, _ := a.GetOldObject().(*rbacv1.ClusterRole)
		if refused != nil || err != nil || obj.AggregationRule == nil && (old == nil || old.AggregationRule == nil) {
			return refused, err
		}
		return g.refuseAggregation(ctx, a)
	case *rbacv1.RoleBinding:
		return g.refuseBinding(ctx, a, obj.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		return g.refuseBinding(ctx, a, obj.RoleRef)
	}
	return nil, nil
}

// onlyForCollection says whether a change touches nothing but what the garbage collector has to change before it can
// delete an object.
func onlyForCollection(obj, old runtime.Object) bool {
	was, ok := old.(object)
	if !ok {
		return false
	}
	same := obj.DeepCopyObject().(object)
	same.SetOwnerReferences(was.GetOwnerReferences())
	same.SetFinalizers(was.GetFinalizers())
	same.SetManagedFields(was.GetManagedFields())
	return apiequality.Semantic.DeepEqual(same, was)
}

func (g *grantWhatYouHold) refuseRules(ctx context.Context, a admission.Attributes, rules []rbacv1.PolicyRule) (refused,
	err error) {
	may, err := g.may(ctx, a, "escalate", a.GetResource().Resource, a.GetName())
	if may || err != nil {
		return nil, err
	}
	return g.held.ConfirmHeld(ctx, a.GetUserInfo(), a.GetNamespace(), rules), nil
}

// refuseAggregation lets only those gather whatever roles will ever come who may do everything.
func (g *grantWhatYouHold) refuseAggregation(ctx context.Context, a admission.Attributes) (refused, err error) {
	may, err := g.may(ctx, a, "escalate", a.GetResource().Resource, a.GetName())
	if may || err != nil {
		return nil, err
	}
	everything := []rbacv1.PolicyRule{
		{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}, {Verbs: []string{"*"},
			NonResourceURLs: []string{"*"}},
	}
	if g.held.ConfirmHeld(ctx, a.GetUserInfo(), "", everything) != nil {
		return errAggregation, nil
	}
	return nil, nil
}

var errAggregation = errors.New("must have cluster-admin privileges to use the aggregationRule")

// refuseBinding reads the role from the store: it may have been written a moment ago.
func (g *grantWhatYouHold) refuseBinding(ctx context.Context, a admission.Attributes, ref rbacv1.RoleRef) (refused,
	err error) {
	resource, store := "roles", g.stores.roles
	if ref.Kind == "ClusterRole" {
		resource, store = "clusterroles", g.stores.clusterRoles
	}
	may, err := g.may(ctx, a, "bind", resource, ref.Name)
	if may || err != nil {
		return nil, err
	}
	role, err := store.Get(withNamespace(ctx, a.GetNamespace()), ref.Name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	rules := rulesOf(role)
	return g.held.ConfirmHeld(ctx, a.GetUserInfo(), a.GetNamespace(), rules), nil
}

func rulesOf(role runtime.Object) []rbacv1.PolicyRule {
	switch role := role.(type) {
	case *rbacv1.Role:
		return role.Rules
	case *rbacv1.ClusterRole:
		return role.Rules
	}
	panic(fmt.Sprintf("a %T is stored as a role", role))
}

func (g *grantWhatYouHold) may(ctx context.Context, a admission.Attributes, verb, resource, name string) (bool, error) {
	decision, _, err := g.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: a.GetUserInfo(), Verb: verb, Namespace: a.GetNamespace(), APIGroup: rbacv1.GroupName, APIVersion: "*",
		Resource: resource, Name: name, ResourceRequest: true,
	})
	if decision == authorizer.DecisionAllow {
		return true, nil
	}
	return false, err
}
