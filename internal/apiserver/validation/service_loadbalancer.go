package validation

import (
	"strings"

	v1 "k8s.io/api/core/v1"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const onlyLoadBalancers = "may only be set for the type LoadBalancer"

// loadBalancer checks the fields that only the type LoadBalancer has.
func loadBalancer(svc, old *v1.Service, spec *field.Path) field.ErrorList {
	return concat(
		sourceRanges(svc, old, spec),
		nodePortAllocation(svc, spec),
		loadBalancerClass(svc, spec.Child("loadBalancerClass")),
	)
}

// sourceRanges checks the source ranges of the load balancer. The path is spelled LoadBalancerSourceRanges, as
// upstream spells it.
func sourceRanges(svc, old *v1.Service, spec *field.Path) field.ErrorList {
	ranges, path := svc.Spec.LoadBalancerSourceRanges, spec.Child("LoadBalancerSourceRanges")
	if len(ranges) == 0 {
		return sourceRangesAnnotation(svc, old)
	}
	var errs field.ErrorList
	if svc.Spec.Type != v1.ServiceTypeLoadBalancer {
		errs = append(errs, field.Forbidden(path, onlyLoadBalancers))
	}
	var known []string
	if old != nil {
		known = old.Spec.LoadBalancerSourceRanges
	}
	for i, value := range ranges {
		errs = append(errs, sourceRange(path.Index(i), value, known)...)
	}
	return errs
}

func sourceRange(path *field.Path, value string, known []string) field.ErrorList {
	// Stored values are compared as they were stored, with their spaces.
	for _, k := range known {
		if k == value {
			return nil
		}
	}
	return syntax.IsValidCIDRForLegacyField(path, strings.TrimSpace(value), true, nil)
}

// sourceRangesAnnotation checks the older annotation for source ranges, which has an effect only if the field is
// empty.
func sourceRangesAnnotation(svc, old *v1.Service) field.ErrorList {
	value, ok := svc.Annotations[v1.AnnotationLoadBalancerSourceRangesKey]
	if !ok {
		return nil
	}
	path := field.NewPath("metadata", "annotations").Key(v1.AnnotationLoadBalancerSourceRangesKey)
	var errs field.ErrorList
	if svc.Spec.Type != v1.ServiceTypeLoadBalancer {
		errs = append(errs, field.Forbidden(path, onlyLoadBalancers))
	}
	if old != nil && old.Annotations[v1.AnnotationLoadBalancerSourceRangesKey] == value {
		return errs
	}
	if strings.TrimSpace(value) == "" {
		return errs
	}
	for _, cidr := range strings.Split(value, ",") {
		errs = append(errs, sourceRange(path, cidr, nil)...)
	}
	return errs
}

func nodePortAllocation(svc *v1.Service, spec *field.Path) field.ErrorList {
	allocate := svc.Spec.AllocateLoadBalancerNodePorts
	switch isLB := svc.Spec.Type == v1.ServiceTypeLoadBalancer; {
	case isLB && allocate == nil:
		// The bare path is upstream's.
		return field.ErrorList{field.Required(field.NewPath("allocateLoadBalancerNodePorts"), "for the type LoadBalancer")}
	case !isLB && allocate != nil:
		return field.ErrorList{field.Forbidden(spec.Child("allocateLoadBalancerNodePorts"), onlyLoadBalancers)}
	}
	return nil
}

func loadBalancerClass(svc *v1.Service, path *field.Path) field.ErrorList {
	class := svc.Spec.LoadBalancerClass
	switch {
	case class == nil:
		return nil
	case svc.Spec.Type != v1.ServiceTypeLoadBalancer:
		return field.ErrorList{field.Forbidden(path, onlyLoadBalancers)}
	}
	return invalid(path, *class, syntax.IsQualifiedName(*class))
}

// loadBalancerStatus checks the status that a load balancer reported. old is nil at creation.
func loadBalancerStatus(svc, old *v1.Service) field.ErrorList {
	ingress, path := svc.Status.LoadBalancer.Ingress, field.NewPath("status", "loadBalancer", "ingress")
	if len(ingress) > 0 && svc.Spec.Type != v1.ServiceTypeLoadBalancer {
		return field.ErrorList{field.Forbidden(path, onlyLoadBalancers)}
	}
	var known []string
	if old != nil {
		for _, i := range old.Status.LoadBalancer.Ingress {
			known = append(known, i.IP)
		}
	}
	var errs field.ErrorList
	for i := range ingress {
		errs = append(errs, loadBalancerIngress(&ingress[i], known, path.Index(i))...)
	}
	return errs
}

func loadBalancerIngress(ingress *v1.LoadBalancerIngress, known []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if ingress.IP != "" {
		errs = append(errs, address(path.Child("ip"), ingress.IP, known...)...)
	}
	errs = append(errs, ingressMode(ingress, path.Child("ipMode"))...)
	if ingress.Hostname == "" {
		return errs
	}
	path = path.Child("hostname")
	errs = append(errs, invalid(path, ingress.Hostname, syntax.IsDNS1123Subdomain(ingress.Hostname))...)
	if familyOf(ingress.Hostname) != "" {
		errs = append(errs, field.Invalid(path, ingress.Hostname, "must be a DNS name, not an address"))
	}
	return errs
}

func ingressMode(ingress *v1.LoadBalancerIngress, path *field.Path) field.ErrorList {
	switch mode := ingress.IPMode; {
	case ingress.IP != "" && mode == nil:
		return field.ErrorList{field.Required(path, "when ip is set")}
	case ingress.IP == "" && mode != nil:
		return field.ErrorList{field.Forbidden(path, "may not be set without ip")}
	case mode != nil:
		return oneOf(path, *mode, v1.LoadBalancerIPModeVIP, v1.LoadBalancerIPModeProxy)
	}
	return nil
}
