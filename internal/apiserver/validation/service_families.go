package validation

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// InitIPFamilies determines ipFamilyPolicy and ipFamilies of a Service, so that the allocators know how many
// addresses to allocate and of which family. It runs after PrepareServiceCreate or PrepareServiceUpdate and before
// the allocation. old is nil at creation.
//
// clusterFamilies are the families of the service ranges, the primary first; it must not be empty. The errors belong
// into an Invalid response. After an error svc may be incomplete and must not be stored.
func InitIPFamilies(svc, old *v1.Service, clusterFamilies []v1.IPFamily) field.ErrorList {
	if svc.Spec.Type == v1.ServiceTypeExternalName || keepsPreference(svc, old) {
		return nil
	}
	defaultPolicy(svc, old)
	spec := field.NewPath("spec")
	if errs := addressLists(svc, old, spec); len(errs) > 0 {
		return errs
	}
	errs := trimOrRefuse(svc, old, spec)
	errs = append(errs, singleStackHoldsOne(&svc.Spec, spec)...)
	errs = append(errs, inferFamilies(&svc.Spec, clusterFamilies, spec)...)
	if len(errs) > 0 {
		return errs
	}
	if svc.Spec.ClusterIP == v1.ClusterIPNone && len(svc.Spec.Selector) == 0 {
		// Custom endpoints may be of any family, also of one that this cluster does not allocate.
		fillFamilies(&svc.Spec, clusterFamilies[0], true)
		return nil
	}
	if errs := clusterOffers(&svc.Spec, clusterFamilies, spec); len(errs) > 0 {
		return errs
	}
	fillFamilies(&svc.Spec, clusterFamilies[0], len(clusterFamilies) == 2)
	return nil
}

// keepsPreference reports whether a Service with PreferDualStack was left unchanged in its families. Such a Service
// stays as it is even after the cluster gained or lost a family, so that no address changes unexpectedly.
func keepsPreference(svc, old *v1.Service) bool {
	if old == nil || svc.Spec.Type != old.Spec.Type || !prefersDual(svc.Spec.IPFamilyPolicy) {
		return false
	}
	return (old.Spec.IPFamilyPolicy == nil || prefersDual(old.Spec.IPFamilyPolicy)) &&
		slices.Equal(svc.Spec.ClusterIPs, old.Spec.ClusterIPs) && slices.Equal(svc.Spec.IPFamilies, old.Spec.IPFamilies)
}

func prefersDual(policy *v1.IPFamilyPolicy) bool {
	return policy != nil && *policy == v1.IPFamilyPolicyPreferDualStack
}

// defaultPolicy sets ipFamilyPolicy. It cannot be a static default, since a client that leaves the field out of an
// update means the stored value.
func defaultPolicy(svc, old *v1.Service) {
	switch {
	case svc.Spec.IPFamilyPolicy != nil:
	case old != nil && old.Spec.IPFamilyPolicy != nil:
		policy := *old.Spec.IPFamilyPolicy
		svc.Spec.IPFamilyPolicy = &policy
	case svc.Spec.ClusterIP == v1.ClusterIPNone && len(svc.Spec.Selector) == 0:
		defaultPointer(&svc.Spec.IPFamilyPolicy, v1.IPFamilyPolicyRequireDualStack)
	default:
		defaultPointer(&svc.Spec.IPFamilyPolicy, v1.IPFamilyPolicySingleStack)
	}
}

// trimOrRefuse handles the change from two families to one: only a request for SingleStack drops the second one.
func trimOrRefuse(svc, old *v1.Service, spec *field.Path) field.ErrorList {
	if old == nil {
		return nil
	}
	now, before := &svc.Spec, &old.Spec
	if *now.IPFamilyPolicy == v1.IPFamilyPolicySingleStack {
		now.ClusterIPs = trimmed(now.ClusterIPs, before.ClusterIPs)
		now.IPFamilies = trimmed(now.IPFamilies, before.IPFamilies)
		return nil
	}
	var errs field.ErrorList
	refuse := func(refused bool, what string) {
		if refused {
			errs = append(errs, field.Invalid(spec.Child("ipFamilyPolicy"), *now.IPFamilyPolicy,
				"must be SingleStack to give up "+what))
		}
	}
	refuse(len(now.ClusterIPs) == 1 && len(before.ClusterIPs) > 1, "the second cluster address")
	refuse(len(now.IPFamilies) == 1 && len(before.IPFamilies) > 1, "the second family")
	return errs
}

// trimmed shortens a list to its first entry, if the caller left the list as it was.
func trimmed[T any](now, before []T) []T {
	if len(now) > 1 && apiequality.Semantic.DeepEqual(now, before) {
		return now[:1:1]
	}
	return now
}

func singleStackHoldsOne(s *v1.ServiceSpec, spec *field.Path) field.ErrorList {
	if *s.IPFamilyPolicy != v1.IPFamilyPolicySingleStack {
		return nil
	}
	var errs field.ErrorList
	refuse := func(refused bool, what string) {
		if refused {
			errs = append(errs, field.Invalid(spec.Child("ipFamilyPolicy"), *s.IPFamilyPolicy,
				"must be PreferDualStack or RequireDualStack for two "+what))
		}
	}
	refuse(len(s.ClusterIPs) == 2, "cluster addresses")
	refuse(len(s.IPFamilies) == 2, "families")
	return errs
}

// inferFamilies derives missing families from the given addresses.
func inferFamilies(s *v1.ServiceSpec, clusterFamilies []v1.IPFamily, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := len(s.IPFamilies); i < len(s.ClusterIPs) && s.ClusterIPs[i] != v1.ClusterIPNone; i++ {
		family := familyOf(s.ClusterIPs[i])
		if !slices.Contains(clusterFamilies, family) {
			errs = append(errs, field.Invalid(spec.Child("clusterIPs").Index(i), s.ClusterIPs[i], notConfigured(family)))
			continue
		}
		s.IPFamilies = append(s.IPFamilies, family)
	}
	return errs
}

// clusterOffers refuses families that the service ranges of this cluster do not have.
func clusterOffers(s *v1.ServiceSpec, clusterFamilies []v1.IPFamily, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	if *s.IPFamilyPolicy == v1.IPFamilyPolicyRequireDualStack && len(clusterFamilies) < 2 {
		errs = append(errs, field.Invalid(spec.Child("ipFamilyPolicy"), *s.IPFamilyPolicy,
			"this cluster has service addresses of one family only"))
	}
	for i, family := range s.IPFamilies {
		if !slices.Contains(clusterFamilies, family) {
			errs = append(errs, field.Invalid(spec.Child("ipFamilies").Index(i), family, notConfigured(family)))
		}
	}
	return errs
}

func notConfigured(family v1.IPFamily) string {
	return fmt.Sprintf("this cluster has no service addresses of family %s", family)
}

// fillFamilies completes the list: the primary family if there is none, and the second one if it is wanted and
// available.
func fillFamilies(s *v1.ServiceSpec, primary v1.IPFamily, secondAvailable bool) {
	if len(s.IPFamilies) == 0 {
		s.IPFamilies = []v1.IPFamily{primary}
	}
	if secondAvailable && len(s.IPFamilies) == 1 && *s.IPFamilyPolicy != v1.IPFamilyPolicySingleStack {
		s.IPFamilies = append(s.IPFamilies, otherFamily(s.IPFamilies[0]))
	}
}
