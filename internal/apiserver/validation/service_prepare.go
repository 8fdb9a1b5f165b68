package validation

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
)

// PrepareServiceCreate prepares a new Service for InitIPFamilies and the allocators: it clears the status, which its
// creator cannot write, and makes clusterIPs from a lone clusterIP.
func PrepareServiceCreate(svc *v1.Service) {
	svc.Status = v1.ServiceStatus{}
	if svc.Spec.ClusterIP != "" && len(svc.Spec.ClusterIPs) == 0 {
		svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
	}
}

// PrepareServiceUpdate prepares a changed Service for InitIPFamilies and the allocators: it restores allocated
// values that were left out, removes values that the new type cannot have and the caller did not change, and keeps
// the status of old. It is idempotent. old must have been through DefaultServiceOnRead.
func PrepareServiceUpdate(svc, old *v1.Service) {
	svc.Status = *old.Status.DeepCopy()
	keepAllocated(&svc.Spec, svc, old)
	linkAddresses(&svc.Spec, &old.Spec)
	dropForType(svc, old)
	if svc.Spec.Type != v1.ServiceTypeLoadBalancer {
		svc.Status.LoadBalancer = v1.LoadBalancerStatus{}
	}
}

// keepAllocated restores the addresses and ports that a client leaves out if it sends only its own fields.
func keepAllocated(spec *v1.ServiceSpec, svc, old *v1.Service) {
	if needsClusterIP(svc) && needsClusterIP(old) {
		defaultTo(&spec.ClusterIP, old.Spec.ClusterIP)
		if len(spec.ClusterIPs) == 0 && spec.ClusterIP == old.Spec.ClusterIP {
			spec.ClusterIPs = slices.Clone(old.Spec.ClusterIPs)
		}
	}
	if needsNodePorts(svc) && needsNodePorts(old) {
		keepNodePorts(spec.Ports, old.Spec.Ports)
	}
	if needsHealthCheckPort(svc) && needsHealthCheckPort(old) {
		defaultTo(&spec.HealthCheckNodePort, old.Spec.HealthCheckNodePort)
	}
}

// keepNodePorts gives a port without a node port the previous node port of the port of its name, unless another port
// asks for that one.
func keepNodePorts(ports, before []v1.ServicePort) {
	taken := nodePortsOf(ports)
	had := map[string]int32{}
	for _, port := range before {
		had[port.Name] = port.NodePort
	}
	for i := range ports {
		if port := had[ports[i].Name]; ports[i].NodePort == 0 && !taken.Has(port) {
			ports[i].NodePort = port
			taken.Insert(port)
		}
	}
}

// nodePortsOf returns the node ports, without 0.
func nodePortsOf(ports []v1.ServicePort) sets.Set[int32] {
	named := sets.New[int32]()
	for _, port := range ports {
		if port.NodePort != 0 {
			named.Insert(port.NodePort)
		}
	}
	return named
}

// linkAddresses lets a client that knows only one of clusterIP and clusterIPs change that one.
func linkAddresses(spec, old *v1.ServiceSpec) {
	same, sameList := spec.ClusterIP == old.ClusterIP, slices.Equal(spec.ClusterIPs, old.ClusterIPs)
	switch {
	case same && !sameList && len(spec.ClusterIPs) == 0:
		spec.ClusterIPs = slices.Clone(old.ClusterIPs)
	case !same && sameList && spec.ClusterIP == "":
		spec.ClusterIPs = nil
	case !same && sameList:
		spec.ClusterIPs = []string{spec.ClusterIP}
	}
}

// dropForType removes values of the old type that the caller did not change. Values that the caller changed stay, so
// that validation refuses them instead of losing them.
func dropForType(svc, old *v1.Service) {
	now, before := &svc.Spec, &old.Spec
	if needsClusterIP(old) && !needsClusterIP(svc) {
		dropAddresses(now, before)
	}
	if mayHaveNodePorts(old) && !mayHaveNodePorts(svc) {
		dropNodePorts(now.Ports, before.Ports)
	}
	if needsHealthCheckPort(old) && !needsHealthCheckPort(svc) {
		drop(&now.HealthCheckNodePort, before.HealthCheckNodePort)
	}
	if before.Type == v1.ServiceTypeLoadBalancer && now.Type != v1.ServiceTypeLoadBalancer {
		drop(&now.AllocateLoadBalancerNodePorts, before.AllocateLoadBalancerNodePorts)
		drop(&now.LoadBalancerClass, before.LoadBalancerClass)
	}
	if externallyAccessible(old) && !externallyAccessible(svc) {
		drop(&now.ExternalTrafficPolicy, before.ExternalTrafficPolicy)
	}
}

func dropAddresses(now, before *v1.ServiceSpec) {
	if slices.Equal(now.ClusterIPs, before.ClusterIPs) {
		now.ClusterIP, now.ClusterIPs = "", nil
	}
	drop(&now.IPFamilies, before.IPFamilies)
	drop(&now.IPFamilyPolicy, before.IPFamilyPolicy)
}

// dropNodePorts removes the node ports, unless the caller has asked for a new one.
func dropNodePorts(now, before []v1.ServicePort) {
	if !nodePortsOf(before).IsSuperset(nodePortsOf(now)) {
		return
	}
	for i := range now {
		now[i].NodePort = 0
	}
}

// drop empties a field that has not changed.
func drop[T any](now *T, before T) {
	if apiequality.Semantic.DeepEqual(*now, before) {
		var zero T
		*now = zero
	}
}
