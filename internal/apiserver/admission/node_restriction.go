package admission

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/admission"
	"viaduct/internal/apiserver/access"
	"viaduct/internal/apiserver/resource"
)

// nodeRestriction is upstream's NodeRestriction: a node agent may write its own Node, its own Lease and the Pods bound
// to its node, and nothing of other nodes. It completes access.Nodes, the authorizer, which does not see the object.
//
// See https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction.
type nodeRestriction struct {
	pods resource.Storage[*corev1.Pod]
}

var _ admission.ValidationInterface = &nodeRestriction{}

// Handles implements admission.Interface.
func (*nodeRestriction) Handles(op admission.Operation) bool { return op != admission.Connect }

// Validate implements admission.ValidationInterface.
func (n *nodeRestriction) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	node, isNode := access.NodeOf(a.GetUserInfo())
	if !isNode {
		return nil
	}
	why, err := "", error(nil)
	switch a.GetResource().GroupResource() {
	case corev1.Resource("nodes"):
		why = refuseNodeWrite(node, a)
	case coordinationv1.Resource("leases"):
		why = refuseLeaseWrite(node, a)
	case corev1.Resource("pods"):
		why, err = n.refusePodWrite(ctx, node, a)
	case corev1.Resource("serviceaccounts"):
		why, err = n.refuseToken(ctx, node, a)
	}
	if err != nil {
		return err
	}
	if why != "" {
		return admission.NewForbidden(a, fmt.Errorf("node %q %s", node, why))
	}
	return nil
}

func refuseLeaseWrite(node string, a admission.Attributes) string {
	if a.GetNamespace() != corev1.NamespaceNodeLease || a.GetName() != node {
		return "can only access node lease with the same name as the requesting node"
	}
	return ""
}

func refuseNodeWrite(node string, a admission.Attributes) string {
	if a.GetName() != node {
		return fmt.Sprintf("is not allowed to modify node %q", a.GetName())
	}
	now, ok := a.GetObject().(*corev1.Node)
	if !ok {
		return "" // a deletion; the authorizer refuses it
	}
	old, exists := a.GetOldObject().(*corev1.Node)
	if !exists {
		old = &corev1.Node{}
	}
	if labels := reservedChanges(now.Labels, old.Labels); len(labels) > 0 {
		return "is not allowed to modify labels: " + strings.Join(labels, ", ")
	}
	if !apiequality.Semantic.DeepEqual(now.OwnerReferences, old.OwnerReferences) {
		// With an owner the Node could be deleted and registered again with other labels.
		return "is not allowed to modify ownerReferences"
	}
	if exists && !apiequality.Semantic.DeepEqual(now.Spec.Taints, old.Spec.Taints) {
		return "is not allowed to modify taints" // without its taints a node attracts Pods meant for others
	}
	return ""
}

// reservedChanges returns the reserved labels, sorted, in which now and old differ. Pods choose their nodes by labels.
func reservedChanges(now, old map[string]string) []string {
	all := maps.Clone(now)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, old)
	var reserved []string
	for key := range all {
		value, is := now[key]
		before, was := old[key]
		if (is != was || value != before) && isReservedLabel(key) {
			reserved = append(reserved, key)
		}
	}
	slices.Sort(reserved)
	return reserved
}

// isReservedLabel reports whether key is in a domain of Kubernetes and is not one that an agent describes its host
// with.
func isReservedLabel(key string) bool {
	domain, _, _ := strings.Cut(key, "/")
	if !strings.Contains(key, "/") || !within(domain, "kubernetes.io", "k8s.io") {
		return false
	}
	if within(domain, corev1.LabelNamespaceNodeRestriction) {
		return true
	}
	return !within(domain, corev1.LabelNamespaceSuffixKubelet, corev1.LabelNamespaceSuffixNode) &&
		!slices.Contains(hostLabels(), key)
}

// within reports whether domain is one of of, or a subdomain of one.
func within(domain string, of ...string) bool {
	return slices.ContainsFunc(of, func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) })
}

// hostLabels are the labels that an agent may set on its Node beside those of the kubelet and node domains.
func hostLabels() []string {
	return []string{
		corev1.LabelHostname, corev1.LabelOSStable, corev1.LabelArchStable, corev1.LabelInstanceType,
		corev1.LabelInstanceTypeStable,
		corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelFailureDomainBetaZone,
		corev1.LabelFailureDomainBetaRegion,
		"beta.kubernetes.io/os", "beta.kubernetes.io/arch",
	}
}

func (n *nodeRestriction) refusePodWrite(ctx context.Context, node string, a admission.Attributes) (string, error) {
	pod, ok := a.GetOldObject().(*corev1.Pod)
	switch {
	case a.GetSubresource() == "eviction":
		var err error
		if pod, err = n.pod(ctx, a.GetNamespace(), a.GetName()); err != nil {
			return "", err
		}
	case !ok:
		return "can only delete pods, and write their status", nil
	case a.GetSubresource() == "" && a.GetOperation() == admission.Update:
		return "can only delete pods, and write their status", nil
	}
	if pod.Spec.NodeName != node {
		return "can only touch pods with spec.nodeName set to itself", nil
	}
	if now, ok := a.GetObject().(*corev1.Pod); ok && !maps.Equal(now.Labels, pod.Labels) {
		return "cannot update labels through pod status", nil // labels decide which Services select the Pod
	}
	return "", nil
}

// refuseToken lets an agent request tokens only for Pods on its node, each bound to its Pod.
func (n *nodeRestriction) refuseToken(ctx context.Context, node string, a admission.Attributes) (string, error) {
	request, ok := a.GetObject().(*authenticationv1.TokenRequest)
	if !ok {
		return "can only create tokens of service accounts", nil
	}
	ref := request.Spec.BoundObjectRef
	if ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "" {
		return "requested token not bound to a pod", nil
	}
	pod, err := n.pod(ctx, a.GetNamespace(), ref.Name)
	switch {
	case err != nil:
		return "", err
	case ref.UID == "" || ref.UID != pod.UID:
		return "requested token bound to another pod of this name: the UID does not match", nil
	case pod.Spec.NodeName != node:
		return "requested token bound to a pod scheduled on a different node", nil
	}
	return "", nil
}

func (n *nodeRestriction) pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return n.pods.Get(ctx, namespace, name, "")
}
