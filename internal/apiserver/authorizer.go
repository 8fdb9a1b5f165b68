package apiserver

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	authorizerunion "k8s.io/apiserver/pkg/authorization/union"
	"viaduct/internal/apiserver/access"
	"viaduct/internal/apiserver/resource"
)

// publicPaths need no credentials: they report whether the server is healthy, and its version.
func publicPaths() []string {
	return []string{"/healthz", "/livez", "/readyz", "/version"}
}

// authorization decides what users may do. Every request is checked by it.
type authorization struct {
	authorizer authorizer.Authorizer
	rules      authorizer.RuleResolver // lists what a user may do
	rbac       *access.RBAC
}

// newAuthorization allows everything to system:masters, publicPaths to all clients, to node agents what their nodes
// need, and otherwise what the roles in the API allow.
func newAuthorization(pods resource.Storage[*corev1.Pod]) (*authorization, error) {
	nodes, rbac := access.NewNodes(podsByNode{pods}), access.NewRBAC()
	union, err := authorizerunion.New(
		authorizerunion.NamedAuthorizer{AuthorizerName: "Masters", Authorizer: authorizer.AuthorizerFunc(allowMasters)},
		authorizerunion.NamedAuthorizer{AuthorizerName: "Public", Authorizer: authorizer.AuthorizerFunc(allowPublic)},
		authorizerunion.NamedAuthorizer{AuthorizerName: "Node", Authorizer: nodes},
		authorizerunion.NamedAuthorizer{AuthorizerName: "RBAC", Authorizer: rbac},
	)
	return &authorization{authorizer: union, rules: authorizerunion.NewRuleResolvers(nodes, rbac), rbac: rbac}, err
}

// allowMasters allows everything to administrators. It comes first and reads nothing, so that no missing or broken role
// can lock them out.
func allowMasters(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if u := a.GetUser(); u != nil && slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// allowPublic allows every client to read publicPaths, even before the roles are loaded.
func allowPublic(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if !a.IsResourceRequest() && a.GetVerb() == "get" && slices.Contains(publicPaths(), a.GetPath()) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// podsByNode looks up the Pods of a node in the server's own storage, by its index.
type podsByNode struct{ pods resource.Storage[*corev1.Pod] }

// OnNode implements access.Pods.
func (p podsByNode) OnNode(ctx context.Context, namespace, node string, fresh bool) ([]*corev1.Pod, error) {
	options := &internalversion.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node)}
	if !fresh {
		options.ResourceVersion = "0"
	}
	return p.pods.Select(ctx, namespace, options)
}
