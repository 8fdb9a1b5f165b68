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

// NodeUserPrefix is what the user name of a node's agent begins with; the name of the node follows.
const NodeUserPrefix = "system:node:"

// NodeOf returns the name of the node whose agent who is. The group makes somebody an agent; the name is empty if it
// says no node.
func NodeOf(who user.Info) (name string, isNode bool) {
	if who == nil || !slices.Contains(who.GetGroups(), user.NodesGroup) {
		return "", false
	}
	name, isNode = strings.CutPrefix(who.GetName(), NodeUserPrefix)
	return name, isNode
}

// Pods is where the Pods of a node are looked up.
type Pods interface {
	// OnNode returns the Pods of a namespace that are bound to a node: those that a cache has or, if fresh, those that are
	// stored. They must not be changed.
	OnNode(ctx context.Context, namespace, node string, fresh bool) ([]corev1.Pod, error)
}

// Nodes lets the agents of nodes do what their own node and its Pods need, as
// https://kubernetes.io/docs/reference/access-authn-authz/node describes: what an agent may read of Secrets and
// ConfigMaps follows from the Pods bound to its node at that moment. What cannot be seen from a request's path (which
// Node a created object is, whose Pod's status is written) is left to the admission step of nodes.
type Nodes struct{ pods Pods }

var (
	_ authorizer.Authorizer   = &Nodes{}
	_ authorizer.RuleResolver = &Nodes{}
)

// NewNodes makes an authorizer that looks up Pods in pods.
func NewNodes(pods Pods) *Nodes { return &Nodes{pods: pods} }

// Authorize implements authorizer.Authorizer. It allows or has no opinion, with a reason if the user is a node's agent.
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

// EvaluateConditions implements authorizer.Authorizer: there are none.
func (*Nodes) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision,
	authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// RulesFor implements authorizer.RuleResolver: what an agent may do cannot be listed, for it follows from its Pods.
func (*Nodes) RulesFor(_ context.Context, who user.Info, _ string) ([]authorizer.ResourceRuleInfo,
	[]authorizer.NonResourceRuleInfo, bool, error) {
	if _, isNode := NodeOf(who); isNode {
		return nil, nil, true, fmt.Errorf("node authorizer does not support user rule resolution")
	}
	return nil, nil, false, nil
}

// refuse says why a is not for the agent of node, or nothing if it is.
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
	return "not for the agent of a node", nil
}

// nodeRules are what every agent may do: give its containers the variables of the Services, and report events.
func nodeRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{on(read(), groupCore, "services"), recordEvents()}
}

// does says whether a is one of the verbs, for a resource itself or, as "resource/verb" otherwise, its subresource.
func does(a authorizer.Attributes, subresource string, verbs ...string) bool {
	return a.GetSubresource() == subresource && slices.Contains(verbs, a.GetVerb())
}

func refuseNode(node string, a authorizer.Attributes) string {
	switch {
	case does(a, "", "create", "update", "patch"), does(a, "status", "update", "patch"):
		return "" // which Node is for admission to see
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
	case a.GetVerb() != "create" && a.GetName() != node: // the name of what is created is for admission to see
		return "can only access node lease with the same name as the requesting node"
	}
	return ""
}

func (n *Nodes) refusePod(ctx context.Context, node string, a authorizer.Attributes) (string, error) {
	switch {
	case does(a, "", "delete"), does(a, "status", "update", "patch"), does(a, "eviction", "create"):
		return "", nil // whose Pod is for admission to see
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
		if r.Field == "spec.nodeName" && r.Value == node && (r.Operator == selection.Equals ||
			r.Operator == selection.DoubleEquals) {
			return true
		}
	}
	return false
}

// refuseRead refuses all but to read one object that a Pod of the node uses.
func (n *Nodes) refuseRead(ctx context.Context, node string, a authorizer.Attributes, uses func(*corev1.Pod,
	string) bool) (string, error) {
	if !does(a, "", read()...) || a.GetName() == "" || a.GetNamespace() == "" {
		return "can only read individual resources of this type", nil
	}
	return n.refuseUnrelated(ctx, node, a, uses)
}

// refuseUnrelated refuses what no Pod of the node uses. The cache is asked first; a Pod that was bound a moment ago may
// be in the store alone.
func (n *Nodes) refuseUnrelated(ctx context.Context, node string, a authorizer.Attributes, uses func(*corev1.Pod,
	string) bool) (string, error) {
	for _, fresh := range []bool{false, true} {
		pods, err := n.pods.OnNode(ctx, a.GetNamespace(), node, fresh)
		if err != nil {
			return "", err
		}
		for i := range pods {
			if pods[i].Namespace == a.GetNamespace() && pods[i].Spec.NodeName == node && uses(&pods[i], a.GetName()) {
				return "", nil
			}
		}
	}
	return fmt.Sprintf("no relationship found between node '%s' and this object", node), nil
}
