package validation

import (
	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// ValidateIPAddress checks a new IPAddress. Its name is the canonical form of the address, so the store refuses a
// second holder. It must name its parent.
func ValidateIPAddress(ip *networkingv1.IPAddress) field.ErrorList {
	return concat(
		newMeta(&ip.ObjectMeta, clusterWide, isCanonicalIP),
		parentReference(ip.Spec.ParentRef, field.NewPath("spec", "parentRef")),
	)
}

// ValidateIPAddressUpdate checks the change from old to ip. The parent cannot change.
func ValidateIPAddressUpdate(ip, old *networkingv1.IPAddress) field.ErrorList {
	return concat(
		ValidateIPAddress(ip),
		changedMeta(&ip.ObjectMeta, &old.ObjectMeta),
		immutable(field.NewPath("spec", "parentRef"), ip.Spec.ParentRef, old.Spec.ParentRef),
	)
}

// isCanonicalIP is the syntax of the name of an IPAddress.
func isCanonicalIP(name string, _ bool) []string {
	var complaints []string
	for _, err := range syntax.IsValidIP(nil, name) {
		complaints = append(complaints, err.Detail)
	}
	return complaints
}

func parentReference(ref *networkingv1.ParentReference, at *field.Path) field.ErrorList {
	if ref == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	return concat(
		optionalName(at.Child("group"), ref.Group, isSubdomain), // the core group is empty
		requiredName(at.Child("resource"), ref.Resource, path.IsValidPathSegmentName),
		requiredName(at.Child("name"), ref.Name, path.IsValidPathSegmentName),
		optionalName(at.Child("namespace"), ref.Namespace, path.IsValidPathSegmentName),
	)
}

// maxServiceCIDRs is the number of ranges of a ServiceCIDR: one of each family.
const maxServiceCIDRs = 2

// ValidateServiceCIDR checks a new ServiceCIDR: one range, or one of each family, in canonical form.
func ValidateServiceCIDR(cidr *networkingv1.ServiceCIDR) field.ErrorList {
	return concat(
		newMeta(&cidr.ObjectMeta, clusterWide, apivalidation.NameIsDNSSubdomain),
		serviceCIDRs(cidr.Spec.CIDRs, field.NewPath("spec", "cidrs")),
	)
}

// ValidateServiceCIDRUpdate checks the change from old to cidr. The ranges cannot change, except that a ServiceCIDR
// of one family may gain a range of the other.
func ValidateServiceCIDRUpdate(cidr, old *networkingv1.ServiceCIDR) field.ErrorList {
	errs := changedMeta(&cidr.ObjectMeta, &old.ObjectMeta)
	now, before, at := cidr.Spec.CIDRs, old.Spec.CIDRs, field.NewPath("spec", "cidrs")
	gains := len(before) == 1 && len(now) == maxServiceCIDRs
	if len(now) != len(before) && !gains {
		return append(errs, field.Invalid(at, now, apivalidation.FieldImmutableErrorMsg))
	}
	for i := range before {
		if now[i] != before[i] {
			errs = append(errs, field.Invalid(at.Index(i), now[i], apivalidation.FieldImmutableErrorMsg))
		}
	}
	if gains {
		errs = append(errs, serviceCIDRs(now, at)...)
	}
	return errs
}

// ValidateServiceCIDRStatusUpdate checks a change of the status. The storage strategy keeps the other fields.
func ValidateServiceCIDRStatusUpdate(cidr, old *networkingv1.ServiceCIDR) field.ErrorList {
	return changedMeta(&cidr.ObjectMeta, &old.ObjectMeta)
}

func serviceCIDRs(cidrs []string, at *field.Path) field.ErrorList {
	switch {
	case len(cidrs) == 0:
		return field.ErrorList{field.Required(at, "at least one range")}
	case len(cidrs) > maxServiceCIDRs:
		return field.ErrorList{field.Invalid(at, cidrs, "may hold two ranges at most")}
	}
	var errs field.ErrorList
	for i, cidr := range cidrs {
		errs = append(errs, syntax.IsValidCIDR(at.Index(i), cidr)...)
	}
	if len(cidrs) == maxServiceCIDRs {
		first, second := netutils.IPFamilyOfCIDRString(cidrs[0]), netutils.IPFamilyOfCIDRString(cidrs[1])
		if first == second && first != netutils.IPFamilyUnknown {
			errs = append(errs, field.Invalid(at, cidrs, "may hold one range of each family at most, such as 192.168.0.0/24 "+
				"and 2001:db8::/64"))
		}
	}
	return errs
}
