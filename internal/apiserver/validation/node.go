package validation

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// DefaultNode sets status.allocatable to status.capacity if it is missing, and makes podCIDR and podCIDRs agree.
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
	return concat(newMeta(&node.ObjectMeta, clusterWide, apivalidation.NameIsDNSSubdomain), nodeSpec(node),
		nodeAmounts(&node.Status))
}

// ValidateNodeUpdate checks the change from old to node. Pod ranges and the provider ID cannot change once they are
// set.
func ValidateNodeUpdate(node, old *v1.Node) field.ErrorList {
	return concat(ValidateNodeStatusUpdate(node, old), nodeSpec(node), nodeKeeps(&node.Spec, &old.Spec))
}

// ValidateNodeStatusUpdate checks a change of the status. The storage strategy keeps the other fields.
func ValidateNodeStatusUpdate(node, old *v1.Node) field.ErrorList {
	return concat(changedMeta(&node.ObjectMeta, &old.ObjectMeta), nodeAmounts(&node.Status),
		nodeAddresses(node.Status.Addresses))
}

// nodeSpec checks taints and pod ranges. The path of a taint is metadata.taints, as upstream reports it.
func nodeSpec(node *v1.Node) field.ErrorList {
	return concat(
		taints(node.Spec.Taints, field.NewPath("metadata", "taints")),
		podRanges(node.Spec.PodCIDRs, field.NewPath("spec", "podCIDRs")),
	)
}

func podRanges(ranges []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, cidr := range ranges {
		errs = append(errs, syntax.IsValidCIDRForLegacyField(path.Index(i), cidr, true, nil)...)
		if seen.Has(cidr) {
			errs = append(errs, field.Duplicate(path.Index(i), cidr))
		}
		seen.Insert(cidr)
	}
	if len(ranges) < 2 {
		return errs
	}
	if dual, err := netutils.IsDualStackCIDRStrings(ranges); err != nil || !dual || len(ranges) > 2 {
		errs = append(errs, field.Invalid(path, ranges, "may hold one range of each family at most"))
	}
	return errs
}

func nodeKeeps(now, before *v1.NodeSpec) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	keep := func(kept bool, name string) {
		if !kept {
			errs = append(errs, field.Forbidden(path.Child(name), mayNotChange))
		}
	}
	keep(len(before.PodCIDRs) == 0 || slices.Equal(now.PodCIDRs, before.PodCIDRs), "podCIDRs")
	keep(before.ProviderID == "" || now.ProviderID == before.ProviderID, "providerID")
	keep(now.DoNotUseExternalID == before.DoNotUseExternalID, "externalID")
	return errs
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
		errs = append(errs, metavalidation.ValidateLabelName(taint.Key, path.Child("key"))...)
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

// nodeAmounts checks capacity and allocatable. Any resource name is accepted.
func nodeAmounts(status *v1.NodeStatus) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sortedNames(status.Capacity) {
		errs = append(errs, amount(name, status.Capacity[name], field.NewPath("status", "capacity", string(name)))...)
	}
	for _, name := range sortedNames(status.Allocatable) {
		errs = append(errs, amount(name, status.Allocatable[name], field.NewPath("status", "allocatable", string(name)))...)
	}
	return errs
}

func nodeAddresses(addresses []v1.NodeAddress) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[v1.NodeAddress]()
	for i, address := range addresses {
		if seen.Has(address) {
			errs = append(errs, field.Duplicate(field.NewPath("status", "addresses").Index(i), address))
		}
		seen.Insert(address)
	}
	return errs
}

// NodeWarnings warns about ranges that are not in standard form and about fields without effect.
func NodeWarnings(node, _ *v1.Node) []string {
	var warnings []string
	for i, cidr := range node.Spec.PodCIDRs {
		warnings = append(warnings, rangeWarnings(field.NewPath("spec", "podCIDRs").Index(i), cidr)...)
	}
	if node.Spec.ConfigSource != nil {
		warnings = append(warnings, fmt.Sprintf("%s: has no effect", field.NewPath("spec", "configSource")))
	}
	if node.Spec.DoNotUseExternalID != "" {
		warnings = append(warnings, fmt.Sprintf("%s: deprecated, and not used", field.NewPath("spec", "externalID")))
	}
	return warnings
}
