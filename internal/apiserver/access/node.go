package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// NodeUserPrefix is the prefix of the user name of a node's agent; the name of the node follows.
const NodeUserPrefix = "system:node:"

// NodeOf returns the name of the node if the user (who) is the agent of a node. Membership of the group system:nodes
// makes a user an agent; the name is empty if the user name has no node.
func NodeOf(who user.Info) (name string, isNode bool) {
	if who == nil || !slices.Contains(who.GetGroups(), user.NodesGroup) {
		return "", false
	}
	name, isNode = strings.CutPrefix(who.GetName(), NodeUserPrefix)
	return name, isNode
}

// Pods looks up the Pods of a node.
type Pods interface {
	// OnNode returns the Pods of a namespace that are bound to a node, from a cache or, if fresh, from the store. The Pods
	// must not be changed.
	OnNode(ctx context.Context, namespace, node string, fresh bool) ([]*corev1.Pod, error)
}

// Nodes authorizes the agents of nodes for the objects of their own node and its Pods, as
// https://kubernetes.io/docs/reference/access-authn-authz/node describes. An agent may read the Secrets and
// ConfigMaps that the Pods bound to its node use at that moment. The path of a request does not show everything,
// such as the name of a new Node or the node of a Pod whose status is written; admission (NodeRestriction upstream)
// checks those.
type Nodes struct{ pods Pods }

var (
	_ authorizer.Authorizer   = &Nodes{}
	_ authorizer.RuleResolver = &Nodes{}
)

// NewNodes returns an authorizer that looks up Pods in pods.
func NewNodes(pods Pods) *Nodes { return &Nodes{pods: pods} }

// Authorize implements authorizer.Authorizer. It allows or has no opinion. It gives a reason if the user is a node's
// agent.
func (n *Nodes) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	node, isNode := NodeOf(a.GetUser())
	if !isNode || !a.IsResourceRequest() {
		return authorizer.DecisionNoOpinion, "", nil
	}
	if node == "" {
		return authorizer.DecisionNoOpinion, fmt.Sprintf("unknown node for user %q", a.GetUser().GetName()), nil
	}
	refused, err := n.refuse(ctx, node, a)
	if err != nil {
		return authorizer.DecisionNoOpinion, "", fmt.Errorf("looking up the Pods of node %q: %w", node, err)
	}
	if refused != "" {
		return authorizer.DecisionNoOpinion, refused, nil
	}
	return authorizer.DecisionAllow, "", nil
}

// ConditionsAwareAuthorize implements authorizer.Authorizer.
func (n *Nodes) ConditionsAwareAuthorize(ctx context.Context,
	a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(n.Authorize(ctx, a))
}

// EvaluateConditions implements authorizer.Authorizer. This authorizer has no conditions.
func (*Nodes) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision,
	authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// RulesFor implements authorizer.RuleResolver. The rules of an agent cannot be listed, since they depend on its
// Pods.
func (*Nodes) RulesFor(_ context.Context, who user.Info, _ string) ([]authorizer.ResourceRuleInfo,
	[]authorizer.NonResourceRuleInfo, bool, error) {
	if _, isNode := NodeOf(who); isNode {
		return nil, nil, true, fmt.Errorf("node authorizer does not support user rule resolution")
	}
	return nil, nil, false, nil
}

// refuse returns why a is not allowed for the agent of node, or "" if it is allowed.
func (n *Nodes) refuse(ctx context.Context, node string, a authorizer.Attributes) (string, error) {
	switch (schema.GroupResource{Group: a.GetAPIGroup(), Resource: a.GetResource()}) {
	case corev1.Resource("nodes"):
		return refuseNode(node, a), nil
	case coordinationv1.Resource("leases"):
		return refuseLease(node, a), nil
	case corev1.Resource("pods"):
		return n.refusePod(ctx, node, a)
	case corev1.Resource("secrets"):
		return n.refuseRead(ctx, node, a, usesSecret)
	case corev1.Resource("configmaps"):
		return n.refuseRead(ctx, node, a, usesConfigMap)
	case corev1.Resource("serviceaccounts"):
		if a.GetVerb() != "create" || a.GetSubresource() != "token" || a.GetName() == "" {
			return "can only create tokens for individual service accounts", nil
		}
		return n.refuseUnrelated(ctx, node, a,
			func(pod *corev1.Pod, name string) bool { return pod.Spec.ServiceAccountName == name })
	}
	for _, rule := range nodeRules() {
		if allows(&rule, a) {
			return "", nil
		}
	}
	return "the agent of a node has no access to this resource", nil
}

// nodeRules are the rules of every agent: read Services for the environment variables of containers, and write
// events.
func nodeRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{on(read(), groupCore, "services"), recordEvents()}
}

// does reports whether a has one of the verbs on the resource itself or, if subresource is not empty, on that
// subresource.
func does(a authorizer.Attributes, subresource string, verbs ...string) bool {
	return a.GetSubresource() == subresource && slices.Contains(verbs, a.GetVerb())
}

func refuseNode(node string, a authorizer.Attributes) string {
	switch {
	case does(a, "", "create", "update", "patch"), does(a, "status", "update", "patch"):
		return "" // admission checks which Node
	case !does(a, "", read()...):
		return "can only read, create and update a node, and its status"
	case a.GetName() != node:
		return fmt.Sprintf("node %q can only read its own Node object", node)
	}
	return ""
}

func refuseLease(node string, a authorizer.Attributes) string {
	switch {
	case !does(a, "", "get", "create", "update", "patch", "delete"):
		return "can only get, create, update, patch, or delete a node lease"
	case a.GetNamespace() != corev1.NamespaceNodeLease:
		return fmt.Sprintf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	case a.GetVerb() != "create" && a.GetName() != node: // admission checks the name of a new Lease
		return "can only access node lease with the same name as the requesting node"
	}
	return ""
}

func (n *Nodes) refusePod(ctx context.Context, node string, a authorizer.Attributes) (string, error) {
	switch {
	case does(a, "", "delete"), does(a, "status", "update", "patch"), does(a, "eviction", "create"):
		return "", nil // admission checks the node of the Pod
	case !does(a, "", read()...):
		return "can only read and delete pods, and write their status", nil
	case a.GetVerb() != "get" && selectsNode(a, node):
		return "", nil
	case a.GetName() == "":
		return "can only list/watch pods with spec.nodeName field selector", nil
	}
	return n.refuseUnrelated(ctx, node, a, func(pod *corev1.Pod, name string) bool { return pod.Name == name })
}

func selectsNode(a authorizer.Attributes, node string) bool {
	selector, err := a.GetFieldSelector()
	if err != nil {
		return false
	}
	for _, r := range selector {
		equals := r.Operator == selection.Equals || r.Operator == selection.DoubleEquals
		if r.Field == "spec.nodeName" && r.Value == node && equals {
			return true
		}
	}
	return false
}

// refuseRead refuses everything except reading one object that a Pod of the node uses.
func (n *Nodes) refuseRead(ctx context.Context, node string, a authorizer.Attributes, uses func(*corev1.Pod,
	string) bool) (string, error) {
	if !does(a, "", read()...) || a.GetName() == "" || a.GetNamespace() == "" {
		return "can only read individual resources of this type", nil
	}
	return n.refuseUnrelated(ctx, node, a, uses)
}

// refuseUnrelated refuses objects that no Pod of the node uses. It asks the cache first, and then the store, since
// the cache may not have a Pod that was bound a moment ago.
func (n *Nodes) refuseUnrelated(ctx context.Context, node string, a authorizer.Attributes, uses func(*corev1.Pod,
	string) bool) (string, error) {
	for _, fresh := range []bool{false, true} {
		pods, err := n.pods.OnNode(ctx, a.GetNamespace(), node, fresh)
		if err != nil {
			return "", err
		}
		for i := range pods {
			if pods[i].Namespace == a.GetNamespace() && pods[i].Spec.NodeName == node && uses(pods[i], a.GetName()) {
				return "", nil
			}
		}
	}
	return fmt.Sprintf("no relationship found between node '%s' and this object", node), nil
}
