package validation

import (
	"strings"

	v1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxAffinitySeconds is the longest session affinity: a day.
const maxAffinitySeconds = 86400

// ValidateService checks a new Service. Its name is a DNS label, since it becomes one in DNS; it may start with a
// digit. Loopback external addresses are always refused, since clients elsewhere must reach them.
func ValidateService(svc *v1.Service) field.ErrorList {
	return concat(
		newMeta(&svc.ObjectMeta, namespaced, apivalidation.NameIsDNSLabel),
		serviceErrors(svc, nil),
	)
}

// serviceErrors holds the checks that creation and update share. old is nil at creation. Values that old has are not
// refused for their spelling.
func serviceErrors(svc, old *v1.Service) field.ErrorList {
	spec := field.NewPath("spec")
	return concat(
		topologyAnnotations(svc),
		serviceType(svc, spec),
		addressLists(svc, old, spec),
		externalName(svc, spec),
		servicePorts(svc, spec),
		metavalidation.ValidateLabels(svc.Spec.Selector, spec.Child("selector")),
		sessionAffinity(&svc.Spec, spec),
		externalIPs(svc, old, spec.Child("externalIPs")),
		loadBalancer(svc, old, spec),
		externalTrafficPolicy(svc, spec),
		internalTrafficPolicy(svc, spec.Child("internalTrafficPolicy")),
		trafficDistribution(&svc.Spec, spec.Child("trafficDistribution")),
	)
}

func topologyAnnotations(svc *v1.Service) field.ErrorList {
	hints, hasHints := svc.Annotations[v1.DeprecatedAnnotationTopologyAwareHints]
	mode, hasMode := svc.Annotations[v1.AnnotationTopologyMode]
	if !hasHints || !hasMode || hints == mode {
		return nil
	}
	path := field.NewPath("metadata", "annotations").Key(v1.AnnotationTopologyMode)
	return field.ErrorList{field.Invalid(path, mode,
		"differs from the older annotation "+v1.DeprecatedAnnotationTopologyAwareHints)}
}

func serviceType(svc *v1.Service, spec *field.Path) field.ErrorList {
	errs := requiredOneOf(spec.Child("type"), svc.Spec.Type,
		v1.ServiceTypeClusterIP, v1.ServiceTypeNodePort, v1.ServiceTypeLoadBalancer, v1.ServiceTypeExternalName)
	if mayHaveNodePorts(svc) && headless(&svc.Spec) {
		errs = append(errs, field.Invalid(spec.Child("clusterIPs").Index(0), v1.ClusterIPNone,
			"may not be None for the types NodePort and LoadBalancer"))
	}
	return errs
}

// externalName checks the name of a Service of type ExternalName, and that fields are absent which that type cannot
// have.
func externalName(svc *v1.Service, spec *field.Path) field.ErrorList {
	if svc.Spec.Type != v1.ServiceTypeExternalName {
		return nil
	}
	var errs field.ErrorList
	forbid := func(present bool, name string) {
		if present {
			errs = append(errs, field.Forbidden(spec.Child(name), "may not be set for the type ExternalName"))
		}
	}
	forbid(len(svc.Spec.ClusterIPs) > 0, "clusterIPs")
	forbid(len(svc.Spec.IPFamilies) > 0, "ipFamilies")
	forbid(svc.Spec.IPFamilyPolicy != nil, "ipFamilyPolicy")
	name := strings.TrimSuffix(svc.Spec.ExternalName, ".")
	return append(errs, requiredName(spec.Child("externalName"), name, syntax.IsDNS1123Subdomain)...)
}

func sessionAffinity(s *v1.ServiceSpec, spec *field.Path) field.ErrorList {
	errs := requiredOneOf(spec.Child("sessionAffinity"), s.SessionAffinity, v1.ServiceAffinityClientIP,
		v1.ServiceAffinityNone)
	path := spec.Child("sessionAffinityConfig")
	switch s.SessionAffinity {
	case v1.ServiceAffinityClientIP:
		errs = append(errs, affinityTimeout(s.SessionAffinityConfig, path)...)
	case v1.ServiceAffinityNone:
		if s.SessionAffinityConfig != nil {
			errs = append(errs, field.Forbidden(path, "may not be set when sessionAffinity is None"))
		}
	}
	return errs
}

func affinityTimeout(config *v1.SessionAffinityConfig, path *field.Path) field.ErrorList {
	if config == nil {
		return field.ErrorList{field.Required(path, "when sessionAffinity is ClientIP")}
	}
	path = path.Child("clientIP")
	if config.ClientIP == nil {
		return field.ErrorList{field.Required(path, "when sessionAffinity is ClientIP")}
	}
	path = path.Child("timeoutSeconds")
	if config.ClientIP.TimeoutSeconds == nil {
		return field.ErrorList{field.Required(path, "when sessionAffinity is ClientIP")}
	}
	seconds := *config.ClientIP.TimeoutSeconds
	return invalid(path, seconds, syntax.IsInRange(int(seconds), 1, maxAffinitySeconds))
}

func externalIPs(svc, old *v1.Service, path *field.Path) field.ErrorList {
	var known []string
	if old != nil {
		known = old.Spec.ExternalIPs
	}
	var errs field.ErrorList
	for i, ip := range svc.Spec.ExternalIPs {
		found := address(path.Index(i), ip, known...)
		if len(found) == 0 {
			found = endpointAddress(path.Index(i), ip, Options{})
		}
		errs = append(errs, found...)
	}
	return errs
}

func externalTrafficPolicy(svc *v1.Service, spec *field.Path) field.ErrorList {
	policy, path := svc.Spec.ExternalTrafficPolicy, spec.Child("externalTrafficPolicy")
	var errs field.ErrorList
	if externallyAccessible(svc) {
		errs = requiredOneOf(path, policy, v1.ServiceExternalTrafficPolicyCluster, v1.ServiceExternalTrafficPolicyLocal)
	} else if policy != "" {
		errs = field.ErrorList{field.Invalid(path, policy, "may only be set where traffic can come from outside the cluster")}
	}
	return append(errs, healthCheckPort(svc, spec.Child("healthCheckNodePort"))...)
}

func healthCheckPort(svc *v1.Service, path *field.Path) field.ErrorList {
	port := svc.Spec.HealthCheckNodePort
	switch {
	case needsHealthCheckPort(svc) && port == 0:
		return field.ErrorList{field.Required(path, "for a LoadBalancer with externalTrafficPolicy Local")}
	case needsHealthCheckPort(svc):
		return invalid(path, port, syntax.IsValidPortNum(int(port)))
	case port != 0:
		return field.ErrorList{field.Invalid(path, port, "may only be set for a LoadBalancer with externalTrafficPolicy "+
			"Local")}
	}
	return nil
}

func internalTrafficPolicy(svc *v1.Service, path *field.Path) field.ErrorList {
	policy := svc.Spec.InternalTrafficPolicy
	if policy != nil {
		return oneOf(path, *policy, v1.ServiceInternalTrafficPolicyCluster, v1.ServiceInternalTrafficPolicyLocal)
	}
	if needsClusterIP(svc) {
		return field.ErrorList{field.Required(path, "")}
	}
	return nil
}

func trafficDistribution(s *v1.ServiceSpec, path *field.Path) field.ErrorList {
	if s.TrafficDistribution == nil {
		return nil
	}
	return oneOf(path, *s.TrafficDistribution, v1.ServiceTrafficDistributionPreferClose,
		v1.ServiceTrafficDistributionPreferSameZone, v1.ServiceTrafficDistributionPreferSameNode)
}
