package validation

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The label that names the controller of an Endpoints, and the controllers that write Endpoints and EndpointSlices.
// They get no warnings, since no user could act on them.
const (
	endpointsManagedBy  = "endpoints.kubernetes.io/managed-by"
	endpointsController = "endpoint-controller"
	slicesController    = "endpointslice-controller.k8s.io"
	mirroringController = "endpointslicemirroring-controller.k8s.io"
)

// ServiceWarnings warns, at every write, about a Service that is accepted but probably not what its author wants.
func ServiceWarnings(svc, _ *v1.Service) []string {
	spec := field.NewPath("spec")
	var warnings []string
	if _, ok := svc.Annotations[v1.DeprecatedAnnotationTopologyAwareHints]; ok {
		path := field.NewPath("metadata", "annotations").Key(v1.DeprecatedAnnotationTopologyAwareHints)
		warnings = append(warnings, fmt.Sprintf("%s: deprecated, use %s", path, v1.AnnotationTopologyMode))
	}
	warnings = append(warnings, serviceAddressWarnings(svc, spec)...)
	warnings = append(warnings, ignoredFieldWarnings(svc, spec)...)
	if d := svc.Spec.TrafficDistribution; d != nil && *d == v1.ServiceTrafficDistributionPreferClose {
		warnings = append(warnings, fmt.Sprintf("%s: PreferClose is deprecated, use PreferSameZone",
			spec.Child("trafficDistribution")))
	}
	return warnings
}

// ServiceStatusWarnings warns about conditions that break the rules of metav1.Condition, and about addresses that
// are not in standard form. Kubernetes v1.36 does not check the conditions of a Service, so they are not refused.
func ServiceStatusWarnings(svc, _ *v1.Service) []string {
	var warnings []string
	path := field.NewPath("status", "conditions")
	errs := metavalidation.ValidateConditions(svc.Status.Conditions, path)
	for _, err := range errs {
		warnings = append(warnings, err.Error())
	}
	ingress := field.NewPath("status", "loadBalancer", "ingress")
	for i := range svc.Status.LoadBalancer.Ingress {
		warnings = append(warnings, addressWarnings(ingress.Index(i).Child("ip"), svc.Status.LoadBalancer.Ingress[i].IP)...)
	}
	return warnings
}

func serviceAddressWarnings(svc *v1.Service, spec *field.Path) []string {
	var warnings []string
	list := func(values []string, name string, check func(*field.Path, string) []string) {
		for i, value := range values {
			warnings = append(warnings, check(spec.Child(name).Index(i), strings.TrimSpace(value))...)
		}
	}
	list(svc.Spec.ClusterIPs, "clusterIPs", addressWarnings)
	list(svc.Spec.ExternalIPs, "externalIPs", addressWarnings)
	warnings = append(warnings, addressWarnings(spec.Child("loadBalancerIP"), svc.Spec.LoadBalancerIP)...)
	list(svc.Spec.LoadBalancerSourceRanges, "loadBalancerSourceRanges", rangeWarnings)
	return warnings
}

// ignoredFieldWarnings warns about fields without effect for this kind of Service, and about deprecated fields.
func ignoredFieldWarnings(svc *v1.Service, spec *field.Path) []string {
	var warnings []string
	warn := func(given bool, name, text string) {
		if given {
			warnings = append(warnings, fmt.Sprintf("%s: %s", spec.Child(name), text))
		}
	}
	s := &svc.Spec
	isExternalName, isHeadless := s.Type == v1.ServiceTypeExternalName, headless(s)
	if isHeadless {
		const text = "ignored for a headless Service"
		warn(s.LoadBalancerIP != "", "loadBalancerIP", text)
		warn(len(s.ExternalIPs) > 0, "externalIPs", text)
		warn(s.SessionAffinity != "" && s.SessionAffinity != v1.ServiceAffinityNone, "sessionAffinity", text)
	}
	warn(len(s.ExternalIPs) > 0 && !isHeadless && !isExternalName, "externalIPs", "deprecated")
	warn(len(s.ExternalIPs) > 0 && isExternalName, "externalIPs", "ignored for the type ExternalName")
	warn(s.ExternalName != "" && !isExternalName, "externalName", "ignored for every type but ExternalName")
	return warnings
}

// EndpointsWarnings warns about addresses that are not in standard form. (The server warns at every request that v1
// Endpoints is deprecated.)
func EndpointsWarnings(ep, _ *v1.Endpoints) []string {
	if ep.Labels[endpointsManagedBy] == endpointsController {
		return nil
	}
	var warnings []string
	for i := range ep.Subsets {
		path := field.NewPath("subsets").Index(i)
		for j, a := range ep.Subsets[i].Addresses {
			warnings = append(warnings, addressWarnings(path.Child("addresses").Index(j).Child("ip"), a.IP)...)
		}
		for j, a := range ep.Subsets[i].NotReadyAddresses {
			warnings = append(warnings, addressWarnings(path.Child("notReadyAddresses").Index(j).Child("ip"), a.IP)...)
		}
	}
	return warnings
}

// EndpointSliceWarnings warns about the address type FQDN, which no consumer uses, and about addresses that are not
// in standard form. The warning about FQDN is given at creation only, when old is nil, since the type is immutable.
func EndpointSliceWarnings(slice, old *discoveryv1.EndpointSlice) []string {
	if slice.AddressType == discoveryv1.AddressTypeFQDN {
		if old != nil {
			return nil
		}
		return []string{"addressType: FQDN endpoints are deprecated"}
	}
	switch slice.Labels[discoveryv1.LabelManagedBy] {
	case slicesController, mirroringController:
		return nil
	}
	var warnings []string
	for i := range slice.Endpoints {
		path := field.NewPath("endpoints").Index(i).Child("addresses")
		for j, a := range slice.Endpoints[i].Addresses {
			warnings = append(warnings, addressWarnings(path.Index(j), a)...)
		}
	}
	return warnings
}
