package validation

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// defaultAffinitySeconds is the default session affinity: three hours.
const defaultAffinitySeconds = 10800

// DefaultService sets the defaults that do not depend on the cluster: type, protocols, target ports, affinity and
// traffic policies. The allocators set addresses and ports, InitIPFamilies sets families.
func DefaultService(svc *v1.Service) {
	spec := &svc.Spec
	defaultTo(&spec.Type, v1.ServiceTypeClusterIP)
	defaultAffinity(spec)
	for i := range spec.Ports {
		defaultServicePort(&spec.Ports[i])
	}
	if externallyAccessible(svc) {
		defaultTo(&spec.ExternalTrafficPolicy, v1.ServiceExternalTrafficPolicyCluster)
	}
	if needsClusterIP(svc) {
		defaultPointer(&spec.InternalTrafficPolicy, v1.ServiceInternalTrafficPolicyCluster)
	}
	if spec.Type == v1.ServiceTypeLoadBalancer {
		defaultLoadBalancer(svc)
	}
}

func defaultAffinity(spec *v1.ServiceSpec) {
	defaultTo(&spec.SessionAffinity, v1.ServiceAffinityNone)
	switch spec.SessionAffinity {
	case v1.ServiceAffinityNone:
		spec.SessionAffinityConfig = nil
	case v1.ServiceAffinityClientIP:
		config := spec.SessionAffinityConfig
		if config == nil || config.ClientIP == nil || config.ClientIP.TimeoutSeconds == nil {
			seconds := int32(defaultAffinitySeconds)
			spec.SessionAffinityConfig = &v1.SessionAffinityConfig{ClientIP: &v1.ClientIPConfig{TimeoutSeconds: &seconds}}
		}
	}
}

func defaultServicePort(port *v1.ServicePort) {
	defaultTo(&port.Protocol, v1.ProtocolTCP)
	if port.TargetPort == intstr.FromInt32(0) || port.TargetPort == intstr.FromString("") {
		port.TargetPort = intstr.FromInt32(port.Port)
	}
}

func defaultLoadBalancer(svc *v1.Service) {
	defaultPointer(&svc.Spec.AllocateLoadBalancerNodePorts, true)
	ingress := svc.Status.LoadBalancer.Ingress
	for i := range ingress {
		if ingress[i].IP != "" {
			defaultPointer(&ingress[i].IPMode, v1.LoadBalancerIPModeVIP)
		}
	}
}

// DefaultServiceOnRead completes a Service that was stored before a field existed. It must be called on every read,
// and on the old object of an update. A headless Service without families becomes IPv4, since the servers that
// stored it had no other families.
func DefaultServiceOnRead(svc *v1.Service) {
	spec := &svc.Spec
	if spec.ClusterIP != "" && len(spec.ClusterIPs) == 0 {
		spec.ClusterIPs = []string{spec.ClusterIP}
	}
	if spec.Type == v1.ServiceTypeExternalName {
		spec.InternalTrafficPolicy = nil
		return
	}
	if len(spec.IPFamilies) == 0 {
		recallFamilies(spec)
	}
}

func recallFamilies(spec *v1.ServiceSpec) {
	single, dual := v1.IPFamilyPolicySingleStack, v1.IPFamilyPolicyRequireDualStack
	switch {
	case headless(spec) && len(spec.Selector) == 0:
		spec.IPFamilies, spec.IPFamilyPolicy = []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol}, &dual
	case headless(spec):
		spec.IPFamilies, spec.IPFamilyPolicy = []v1.IPFamily{v1.IPv4Protocol}, &single
	default:
		for _, ip := range spec.ClusterIPs {
			if family := familyOf(ip); family != "" {
				spec.IPFamilies = append(spec.IPFamilies, family)
			}
		}
		switch len(spec.IPFamilies) {
		case 1:
			spec.IPFamilyPolicy = &single
		case 2:
			spec.IPFamilyPolicy = &dual
		}
	}
}

// headless reports whether the Service asked for no cluster IP.
func headless(spec *v1.ServiceSpec) bool {
	return len(spec.ClusterIPs) == 1 && spec.ClusterIPs[0] == v1.ClusterIPNone
}

// needsClusterIP reports whether the type has a cluster IP, or None instead.
func needsClusterIP(svc *v1.Service) bool {
	switch svc.Spec.Type {
	case v1.ServiceTypeClusterIP, v1.ServiceTypeNodePort, v1.ServiceTypeLoadBalancer:
		return true
	}
	return false
}

// needsNodePorts reports whether ports without a node port get one.
func needsNodePorts(svc *v1.Service) bool {
	switch svc.Spec.Type {
	case v1.ServiceTypeNodePort:
		return true
	case v1.ServiceTypeLoadBalancer:
		allocate := svc.Spec.AllocateLoadBalancerNodePorts
		return allocate == nil || *allocate
	}
	return false
}

// mayHaveNodePorts reports whether ports may name a node port.
func mayHaveNodePorts(svc *v1.Service) bool {
	return svc.Spec.Type == v1.ServiceTypeNodePort || svc.Spec.Type == v1.ServiceTypeLoadBalancer
}

// externallyAccessible reports whether traffic may come from outside the cluster.
func externallyAccessible(svc *v1.Service) bool {
	return mayHaveNodePorts(svc) || svc.Spec.Type == v1.ServiceTypeClusterIP && len(svc.Spec.ExternalIPs) > 0
}

// needsHealthCheckPort reports whether load balancers must ask each node for local endpoints.
func needsHealthCheckPort(svc *v1.Service) bool {
	return svc.Spec.Type == v1.ServiceTypeLoadBalancer &&
		svc.Spec.ExternalTrafficPolicy == v1.ServiceExternalTrafficPolicyLocal
}
