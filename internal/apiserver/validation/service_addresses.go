package validation

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// addressLists checks clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy: each alone, and against each other.
func addressLists(svc, old *v1.Service, spec *field.Path) field.ErrorList {
	if svc.Spec.Type == v1.ServiceTypeExternalName {
		return nil // externalName reports these fields, none of which may be set
	}
	ips, path := svc.Spec.ClusterIPs, spec.Child("clusterIPs")
	errs := concat(
		linkedAddress(&svc.Spec, path),
		families(svc.Spec.IPFamilies, spec.Child("ipFamilies")),
		familyPolicy(svc.Spec.IPFamilyPolicy, spec.Child("ipFamilyPolicy")),
	)
	malformed := clusterIPs(ips, old, path)
	errs = append(errs, malformed...)
	if len(ips) > 2 {
		errs = append(errs, field.Invalid(path, ips, "may hold two addresses at most"))
	}
	if len(malformed) > 0 {
		return errs // text that is not an address has no family
	}
	errs = append(errs, distinctFamilies(ips, path)...)
	if headless(&svc.Spec) {
		return errs
	}
	return append(errs, familiesMatch(&svc.Spec, path)...)
}

// linkedAddress checks that clusterIP is the first of clusterIPs.
func linkedAddress(s *v1.ServiceSpec, path *field.Path) field.ErrorList {
	switch {
	case s.ClusterIP != "" && len(s.ClusterIPs) == 0:
		return field.ErrorList{field.Required(path, "when clusterIP is set")}
	case s.ClusterIP != "" && s.ClusterIPs[0] != s.ClusterIP:
		return field.ErrorList{field.Invalid(path, s.ClusterIPs, "must begin with the value of clusterIP")}
	case s.ClusterIP == "" && len(s.ClusterIPs) > 0:
		return field.ErrorList{field.Invalid(path, s.ClusterIPs, "must be empty when clusterIP is")}
	}
	return nil
}

func families(list []v1.IPFamily, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[v1.IPFamily]()
	for i, family := range list {
		errs = append(errs, oneOf(path.Index(i), family, v1.IPv4Protocol, v1.IPv6Protocol)...)
		if seen.Has(family) {
			errs = append(errs, field.Duplicate(path.Index(i), family))
		}
		seen.Insert(family)
	}
	return errs
}

func familyPolicy(policy *v1.IPFamilyPolicy, path *field.Path) field.ErrorList {
	if policy == nil {
		return nil
	}
	return oneOf(path, *policy, v1.IPFamilyPolicySingleStack, v1.IPFamilyPolicyPreferDualStack,
		v1.IPFamilyPolicyRequireDualStack)
}

func clusterIPs(ips []string, old *v1.Service, path *field.Path) field.ErrorList {
	var known []string
	if old != nil {
		known = old.Spec.ClusterIPs
	}
	var errs field.ErrorList
	for i, ip := range ips {
		switch {
		case i > 0 || ip != v1.ClusterIPNone:
			errs = append(errs, address(path.Index(i), ip, known...)...)
		case len(ips) > 1:
			errs = append(errs, field.Invalid(path, ips, "None must stand alone"))
		}
	}
	return errs
}

func distinctFamilies(ips []string, path *field.Path) field.ErrorList {
	seen := sets.New[v1.IPFamily]()
	for _, ip := range ips {
		family := familyOf(ip)
		if seen.Has(family) {
			return field.ErrorList{field.Invalid(path, ips, fmt.Sprintf("may hold one %s address at most", family))}
		}
		seen.Insert(family)
	}
	return nil
}

func familiesMatch(s *v1.ServiceSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, ip := range s.ClusterIPs[:min(len(s.ClusterIPs), len(s.IPFamilies))] {
		if otherFamily(s.IPFamilies[i]) == familyOf(ip) {
			errs = append(errs, field.Invalid(path.Index(i), ip, fmt.Sprintf("must be %s, as ipFamilies[%d] says",
				s.IPFamilies[i], i)))
		}
	}
	return errs
}
