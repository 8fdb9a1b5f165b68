package validation

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const mayNotChange = "may not change once set"

// ValidateServiceUpdate checks the change from old to svc: the rules of creation, and the immutable fields. old must
// have been through DefaultServiceOnRead.
func ValidateServiceUpdate(svc, old *v1.Service) field.ErrorList {
	spec := field.NewPath("spec")
	return concat(
		changedMeta(&svc.ObjectMeta, &old.ObjectMeta),
		changedClusterIPs(svc, old, spec),
		changedFamilies(svc, old, spec),
		changedLoadBalancerClass(svc, old, spec.Child("loadBalancerClass")),
		changedHealthCheckPort(svc, old, spec.Child("healthCheckNodePort")),
		serviceErrors(svc, old),
	)
}

// ValidateServiceStatusUpdate checks a change of the status. The storage strategy keeps the other fields.
func ValidateServiceStatusUpdate(svc, old *v1.Service) field.ErrorList {
	return concat(changedMeta(&svc.ObjectMeta, &old.ObjectMeta), loadBalancerStatus(svc, old))
}

func eitherExternalName(svc, old *v1.Service) bool {
	return svc.Spec.Type == v1.ServiceTypeExternalName || old.Spec.Type == v1.ServiceTypeExternalName
}

// changedClusterIPs lets a Service gain a second address, or lose it if it asks for SingleStack. The first address
// is immutable.
func changedClusterIPs(svc, old *v1.Service, spec *field.Path) field.ErrorList {
	if eitherExternalName(svc, old) || headless(&svc.Spec) && headless(&old.Spec) {
		return nil
	}
	now, before, path := svc.Spec.ClusterIPs, old.Spec.ClusterIPs, spec.Child("clusterIPs")
	if len(now) < len(before) {
		return shortened(now, before, path, &svc.Spec, spec)
	}
	var errs field.ErrorList
	for i := range before {
		// A longer list must keep its first entry; the families of the others are checked elsewhere.
		if now[i] != before[i] && (i == 0 || len(now) == len(before)) {
			errs = append(errs, field.Invalid(path.Index(i), now, mayNotChange))
		}
	}
	return errs
}

// changedFamilies is changedClusterIPs for the families. A headless Service has no addresses to keep and may change its
// families. Errors always name the first entry, even if another one differs, as upstream's do.
func changedFamilies(svc, old *v1.Service, spec *field.Path) field.ErrorList {
	if eitherExternalName(svc, old) || headless(&svc.Spec) || headless(&old.Spec) {
		return nil
	}
	now, before, path := svc.Spec.IPFamilies, old.Spec.IPFamilies, spec.Child("ipFamilies")
	switch {
	case len(now) < len(before):
		return shortened(now, before, path, &svc.Spec, spec)
	case len(now) == len(before) && !slices.Equal(now, before), len(before) > 0 && now[0] != before[0]:
		return field.ErrorList{field.Invalid(path.Index(0), now, mayNotChange)}
	}
	return nil
}

// shortened checks a list that lost entries: the first must be kept, and losing the second must be asked for.
func shortened[T comparable](now, before []T, path *field.Path, s *v1.ServiceSpec, spec *field.Path) field.ErrorList {
	switch {
	case len(now) == 0:
		return field.ErrorList{field.Invalid(path.Index(0), now, "the first entry may not be removed")}
	case now[0] != before[0]:
		return field.ErrorList{field.Invalid(path.Index(0), now, mayNotChange)}
	case len(now) == 1 && (s.IPFamilyPolicy == nil || *s.IPFamilyPolicy != v1.IPFamilyPolicySingleStack):
		return field.ErrorList{field.Invalid(spec.Child("ipFamilyPolicy"), s.IPFamilyPolicy,
			"must be SingleStack to give up the second family")}
	}
	return nil
}

func changedLoadBalancerClass(svc, old *v1.Service, path *field.Path) field.ErrorList {
	if svc.Spec.Type != v1.ServiceTypeLoadBalancer || old.Spec.Type != v1.ServiceTypeLoadBalancer {
		return nil
	}
	return immutable(path, svc.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass)
}

func changedHealthCheckPort(svc, old *v1.Service, path *field.Path) field.ErrorList {
	if !needsHealthCheckPort(svc) || !needsHealthCheckPort(old) ||
		svc.Spec.HealthCheckNodePort == old.Spec.HealthCheckNodePort {
		return nil
	}
	return field.ErrorList{field.Forbidden(path, mayNotChange)}
}
