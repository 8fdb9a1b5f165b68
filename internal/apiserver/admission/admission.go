// Package admission holds the admission plugins of this server: what checks or completes a write between its decoding
// and its storage. A plugin with a counterpart in kube-apiserver has its name.
//
// Plugins see the object that is written, which no authorizer does. They read other objects from the server's own
// storages and never write.
package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"viaduct/internal/apiserver/access"
	"viaduct/internal/apiserver/resource"
)

// Config names what the plugins look things up in. All fields are required, except AllowExternalIPs.
type Config struct {
	Authorizer authorizer.UnconditionalAuthorizer
	RBAC       *access.RBAC // the rules that a user holds

	Namespaces   resource.Storage[*corev1.Namespace]
	Pods         resource.Storage[*corev1.Pod]
	Nodes        resource.Storage[*corev1.Node]
	Accounts     resource.Storage[*corev1.ServiceAccount]
	Roles        resource.Storage[*rbacv1.Role]
	ClusterRoles resource.Storage[*rbacv1.ClusterRole]

	AllowExternalIPs bool // leaves out DenyServiceExternalIPs
}

// A Chain runs its plugins in order: all that change objects, then all that validate.
type Chain interface {
	admission.MutationInterface
	admission.ValidationInterface
}

// New returns the chain of all plugins. This is the list to add a plugin to.
func New(c Config) Chain {
	plugins := []admission.Interface{
		&namespaceLifecycle{namespaces: c.Namespaces},
		&nodeRestriction{pods: c.Pods},
		&rbacEscalationCheck{authorizer: c.Authorizer, rbac: c.RBAC, roles: c.Roles, clusterRoles: c.ClusterRoles},
		&serviceAccount{accounts: c.Accounts},
		&tokenImpersonation{authorizer: c.Authorizer},
		&annotationValidation{},
		&backendsPermission{authorizer: c.Authorizer},
		&restrictedEndpoints{authorizer: c.Authorizer, pods: c.Pods, nodes: c.Nodes},
	}
	if !c.AllowExternalIPs {
		plugins = append(plugins, &denyServiceExternalIPs{authorizer: c.Authorizer})
	}
	return admission.NewChainHandler(plugins...)
}

// allowed asks the authorizer. It ignores an error beside a positive decision: some role could not be read, and it was
// not needed.
func allowed(ctx context.Context, a authorizer.UnconditionalAuthorizer, action authorizer.AttributesRecord) (bool,
	error) {
	decision, _, err := a.Authorize(ctx, action)
	if decision == authorizer.DecisionAllow {
		return true, nil
	}
	return false, err
}

// isAdministrator reports whether u may use every verb on every resource of the cluster.
func isAdministrator(ctx context.Context, a authorizer.UnconditionalAuthorizer, u user.Info) (bool, error) {
	return allowed(ctx, a, authorizer.AttributesRecord{User: u, Verb: "*", APIGroup: "*", APIVersion: "*", Resource: "*",
		ResourceRequest: true})
}

func isCreateOrUpdate(op admission.Operation) bool {
	return op == admission.Create || op == admission.Update
}
