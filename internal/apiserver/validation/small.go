package validation

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DefaultNamespace fills in the phase, and the label by which a selector can mean a namespace by name.
func DefaultNamespace(ns *v1.Namespace) {
	defaultTo(&ns.Status.Phase, v1.NamespaceActive)
	if ns.Name == "" {
		return
	}
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[v1.LabelMetadataName] = ns.Name
}

// ValidateNamespace checks a new namespace.
func ValidateNamespace(ns *v1.Namespace) field.ErrorList {
	return concat(newMeta(&ns.ObjectMeta, clusterWide, apivalidation.ValidateNamespaceName), finalizers(ns.Spec.Finalizers))
}

// ValidateNamespaceUpdate checks the change from old to ns.
func ValidateNamespaceUpdate(ns, old *v1.Namespace) field.ErrorList {
	return concat(changedMeta(&ns.ObjectMeta, &old.ObjectMeta), finalizers(ns.Spec.Finalizers))
}

// finalizers checks the namespace's own list, which may hold the bare name of Kubernetes itself beside qualified ones.
func finalizers(list []v1.FinalizerName) field.ErrorList {
	var errs field.ErrorList
	for i, name := range list {
		path := field.NewPath("spec", "finalizers").Index(i)
		if name != v1.FinalizerKubernetes && !strings.Contains(string(name), "/") {
			errs = append(errs, field.Invalid(path, name, "must be kubernetes, or a name with a domain before a slash"))
			continue
		}
		errs = append(errs, invalid(path, name, syntax.IsQualifiedName(string(name)))...)
	}
	return errs
}

// DefaultNode takes what a node can allocate to be all it has, unless it says otherwise, and a podCIDR alone to be the list of one.
func DefaultNode(node *v1.Node) {
	spec := &node.Spec
	if len(spec.PodCIDRs) > 0 {
		defaultTo(&spec.PodCIDR, spec.PodCIDRs[0])
	}
	if spec.PodCIDR != "" && (len(spec.PodCIDRs) == 0 || spec.PodCIDRs[0] != spec.PodCIDR) {
		spec.PodCIDRs = []string{spec.PodCIDR}
	}
	if node.Status.Allocatable == nil && node.Status.Capacity != nil {
		node.Status.Allocatable = node.Status.Capacity.DeepCopy()
	}
}

// ValidateNode checks a new node.
func ValidateNode(node *v1.Node) field.ErrorList {
	return concat(newMeta(&node.ObjectMeta, clusterWide, apivalidation.NameIsDNSSubdomain), nodeErrors(node))
}

// ValidateNodeUpdate checks the change from old to node, of spec or status. A pod range, once given, stays.
func ValidateNodeUpdate(node, old *v1.Node) field.ErrorList {
	errs := concat(changedMeta(&node.ObjectMeta, &old.ObjectMeta), nodeErrors(node))
	path := field.NewPath("spec", "podCIDRs")
	if len(old.Spec.PodCIDRs) > 0 {
		errs = append(errs, immutable(path, node.Spec.PodCIDRs, old.Spec.PodCIDRs)...)
	}
	if old.Spec.ProviderID != "" && node.Spec.ProviderID != old.Spec.ProviderID {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "providerID"), mayNotChange))
	}
	return errs
}

func nodeErrors(node *v1.Node) field.ErrorList {
	spec := field.NewPath("spec")
	errs := taints(node.Spec.Taints, spec.Child("taints"))
	for i, cidr := range node.Spec.PodCIDRs {
		errs = append(errs, syntax.IsValidCIDRForLegacyField(spec.Child("podCIDRs").Index(i), cidr, true, nil)...)
	}
	return append(errs, nodeStatus(&node.Status)...)
}

func taints(list []v1.Taint, path *field.Path) field.ErrorList {
	type identity struct {
		Key    string
		Effect v1.TaintEffect
	}
	var errs field.ErrorList
	seen := sets.New[identity]()
	for i, taint := range list {
		path := path.Index(i)
		errs = append(errs, requiredName(path.Child("key"), taint.Key, syntax.IsQualifiedName)...)
		errs = append(errs, invalid(path.Child("value"), taint.Value, syntax.IsValidLabelValue(taint.Value))...)
		errs = append(errs, requiredOneOf(path.Child("effect"), taint.Effect,
			v1.TaintEffectNoSchedule, v1.TaintEffectPreferNoSchedule, v1.TaintEffectNoExecute)...)
		if id := (identity{taint.Key, taint.Effect}); seen.Has(id) {
			errs = append(errs, field.Duplicate(path, id))
		} else {
			seen.Insert(id)
		}
	}
	return errs
}

func nodeStatus(status *v1.NodeStatus) field.ErrorList {
	path := field.NewPath("status")
	errs := concat(
		resourceList(status.Capacity, path.Child("capacity")),
		resourceList(status.Allocatable, path.Child("allocatable")),
	)
	seen := sets.New[v1.NodeAddress]()
	for i, address := range status.Addresses {
		if seen.Has(address) {
			errs = append(errs, field.Duplicate(path.Child("addresses").Index(i), address))
		}
		seen.Insert(address)
	}
	return errs
}

// ValidateServiceAccount checks a new service account: its name, for nothing else of it is fixed.
func ValidateServiceAccount(account *v1.ServiceAccount) field.ErrorList {
	return newMeta(&account.ObjectMeta, namespaced, apivalidation.ValidateServiceAccountName)
}

// ValidateServiceAccountUpdate checks the change from old to account.
func ValidateServiceAccountUpdate(account, old *v1.ServiceAccount) field.ErrorList {
	return changedMeta(&account.ObjectMeta, &old.ObjectMeta)
}

// DefaultEvent fills in nothing: whoever reports an event knows all there is to know of it. It is here so that the list of kinds
// with defaults has no hole that looks like an oversight.
func DefaultEvent(*v1.Event) {}

// ValidateEvent checks a new event. It is lenient, for a refused event is a lost one: the object it tells of must be in its own
// namespace, or be of the cluster and be told of in default or kube-system.
func ValidateEvent(event *v1.Event) field.ErrorList {
	errs := newMeta(&event.ObjectMeta, namespaced, apivalidation.NameIsDNSSubdomain)
	path := field.NewPath("involvedObject", "namespace")
	involved := event.InvolvedObject.Namespace
	switch {
	case involved == event.Namespace:
	case involved != "":
		errs = append(errs, field.Invalid(path, involved, "must be the namespace of the event"))
	case event.Namespace != eventsDefault && event.Namespace != eventsSystem:
		errs = append(errs, field.Invalid(path, involved, "an event on an object of the cluster must be in default or kube-system"))
	}
	return errs
}

// The namespaces that hold the events of objects which are in none.
const (
	eventsDefault = "default"
	eventsSystem  = "kube-system"
)

// ValidateEventUpdate checks the change from old to event, mostly a count going up.
func ValidateEventUpdate(event, old *v1.Event) field.ErrorList {
	return concat(changedMeta(&event.ObjectMeta, &old.ObjectMeta), ValidateEvent(event))
}

// ValidateLease checks a new lease.
func ValidateLease(lease *coordinationv1.Lease) field.ErrorList {
	return concat(newMeta(&lease.ObjectMeta, namespaced, apivalidation.NameIsDNSSubdomain), leaseSpec(&lease.Spec))
}

// ValidateLeaseUpdate checks the change from old to lease.
func ValidateLeaseUpdate(lease, old *coordinationv1.Lease) field.ErrorList {
	return concat(changedMeta(&lease.ObjectMeta, &old.ObjectMeta), leaseSpec(&lease.Spec))
}

func leaseSpec(lease *coordinationv1.LeaseSpec) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	if seconds := lease.LeaseDurationSeconds; seconds != nil && *seconds <= 0 {
		errs = append(errs, field.Invalid(path.Child("leaseDurationSeconds"), *seconds, "must be more than 0"))
	}
	if n := lease.LeaseTransitions; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(path.Child("leaseTransitions"), *n, "must not be negative"))
	}
	if strategy := lease.Strategy; strategy != nil {
		errs = append(errs, invalid(path.Child("strategy"), *strategy, syntax.IsQualifiedName(string(*strategy)))...)
	}
	if lease.PreferredHolder != nil && *lease.PreferredHolder != "" && (lease.Strategy == nil || *lease.Strategy == "") {
		errs = append(errs, field.Forbidden(path.Child("preferredHolder"), "may not be set without strategy"))
	}
	return errs
}
