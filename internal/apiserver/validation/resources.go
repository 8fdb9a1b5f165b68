package validation

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Quantities of resources that nodes have and containers request: cpu, memory, and extended resources, whose names have
// a domain.

// extendedPrefix is the prefix of the quota of an extended resource; no resource may have such a name.
const extendedPrefix = v1.DefaultResourceRequestsPrefix

// native reports whether a resource is Kubernetes' own: its name has no domain, or a domain of kubernetes.io.
func native(name v1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), v1.ResourceDefaultNamespacePrefix)
}

func hugePages(name v1.ResourceName) bool {
	return strings.HasPrefix(string(name), v1.ResourceHugePagesPrefix)
}

// extended reports whether a name is that of an extended resource.
func extended(name v1.ResourceName) bool {
	if native(name) || strings.HasPrefix(string(name), extendedPrefix) {
		return false
	}
	return len(syntax.IsQualifiedName(extendedPrefix+string(name))) == 0
}

// overcommittable reports whether limits may exceed requests.
func overcommittable(name v1.ResourceName) bool { return native(name) && !hugePages(name) }

// countable reports whether a resource has no fractions.
func countable(name v1.ResourceName) bool {
	switch name {
	case v1.ResourcePods, v1.ResourceQuotas, v1.ResourceServices, v1.ResourceReplicationControllers, v1.ResourceSecrets,
		v1.ResourceConfigMaps, v1.ResourcePersistentVolumeClaims, v1.ResourceServicesNodePorts,
		v1.ResourceServicesLoadBalancers:
		return true
	}
	return extended(name)
}

// amount checks a quantity of a resource.
func amount(name v1.ResourceName, quantity resource.Quantity, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if quantity.Sign() < 0 {
		errs = append(errs, field.Invalid(path, quantity.String(), "must not be negative"))
	}
	if countable(name) && quantity.MilliValue()%1000 != 0 {
		errs = append(errs, field.Invalid(path, quantity.String(), "must be a whole number"))
	}
	return errs
}

// containerResourceName checks the name of a resource that a container requests.
func containerResourceName(name v1.ResourceName, path *field.Path) field.ErrorList {
	if errs := invalid(path, name, syntax.IsQualifiedName(string(name))); len(errs) > 0 {
		return errs
	}
	switch name {
	case v1.ResourceCPU, v1.ResourceMemory, v1.ResourceEphemeralStorage:
		return nil
	}
	switch {
	case hugePages(name):
		return nil
	case !strings.Contains(string(name), "/"):
		return field.ErrorList{field.Invalid(path, name, "must be a standard resource of containers, or have a domain")}
	case !native(name) && !extended(name):
		return field.ErrorList{field.Invalid(path, name, "must be the name of an extended resource")}
	}
	return nil
}

// containerResources checks requests and limits, alone and against each other.
func containerResources(r *v1.ResourceRequirements, path *field.Path) field.ErrorList {
	errs := concat(containerAmounts(r.Limits, path.Child("limits")), containerAmounts(r.Requests, path.Child("requests")))
	for _, name := range sortedNames(r.Requests) {
		errs = append(errs, requestWithinLimit(name, r, path)...)
	}
	if (hasHugePages(r.Limits) || hasHugePages(r.Requests)) && !hasCompute(r.Limits) && !hasCompute(r.Requests) {
		errs = append(errs, field.Forbidden(path, "huge pages need cpu or memory beside them"))
	}
	return errs
}

func containerAmounts(list v1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sortedNames(list) {
		at, quantity := path.Key(string(name)), list[name]
		errs = append(errs, containerResourceName(name, at)...)
		errs = append(errs, amount(name, quantity, at)...)
		if hugePages(name) && !wholePages(name, quantity) {
			errs = append(errs, field.Invalid(at, quantity.String(), "must be a positive number of whole pages"))
		}
	}
	return errs
}

func wholePages(name v1.ResourceName, quantity resource.Quantity) bool {
	page, err := resource.ParseQuantity(strings.TrimPrefix(string(name), v1.ResourceHugePagesPrefix))
	return err == nil && page.Sign() > 0 && page.MilliValue()%1000 == 0 && page.Value() != 0 &&
		quantity.Value()%page.Value() == 0
}

func requestWithinLimit(name v1.ResourceName, r *v1.ResourceRequirements, path *field.Path) field.ErrorList {
	request := r.Requests[name]
	limit, ok := r.Limits[name]
	switch {
	case !ok && !overcommittable(name):
		return field.ErrorList{field.Required(path.Child("limits"), fmt.Sprintf("of %s, which cannot be overcommitted",
			name))}
	case ok && !overcommittable(name) && request.Cmp(limit) != 0:
		return field.ErrorList{field.Invalid(path.Child("requests"), request.String(), fmt.Sprintf("must be the limit of %s",
			name))}
	case ok && request.Cmp(limit) > 0:
		return field.ErrorList{field.Invalid(path.Child("requests"), request.String(),
			fmt.Sprintf("must not be more than the limit of %s", name))}
	}
	return nil
}

func hasHugePages(list v1.ResourceList) bool {
	for name := range list {
		if hugePages(name) {
			return true
		}
	}
	return false
}

func hasCompute(list v1.ResourceList) bool {
	_, cpu := list[v1.ResourceCPU]
	_, memory := list[v1.ResourceMemory]
	return cpu || memory
}
