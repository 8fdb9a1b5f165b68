package validation

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
)

// PrepareServiceCreate makes a new Service ready for InitIPFamilies and the allocators: the status is not the creator's
// to write, and a clusterIP alone is also the list of one.
func PrepareServiceCreate(svc *v1.Service) {
	svc.Status = v1.ServiceStatus{}
	if svc.Spec.ClusterIP != "" && len(svc.Spec.ClusterIPs) == 0 {
		svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
	}
}

// PrepareServiceUpdate makes a changed Service ready for InitIPFamilies and the allocators: what was allocated before
// and is left out now is put back, what the new type cannot have and the caller did not touch is removed, and the
// status stays old's. Doing it twice is doing it once. old must have been through DefaultServiceOnRead.
func PrepareServiceUpdate(svc, old *v1.Service) {
	svc.Status = *old.Status.DeepCopy()
	keepAllocated(&svc.Spec, svc, old)
	linkAddresses(&svc.Spec, &old.Spec)
	dropForType(svc, old)
	if svc.Spec.Type != v1.ServiceTypeLoadBalancer {
		svc.Status.LoadBalancer = v1.LoadBalancerStatus{}
	}
}

// keepAllocated puts back the addresses and ports that a client which sends only its own fields leaves out.
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

// keepNodePorts gives a port without a node port the one that the port of its name had, unless another port has asked
// for it.
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

// nodePortsOf returns the node ports named, without 0.
func nodePortsOf(ports []v1.ServicePort) sets.Set[int32] {
	named := sets.New[int32]()
	for _, port := range ports {
		if port.NodePort != 0 {
			named.Insert(port.NodePort)
		}
	}
	return named
}

// linkAddresses lets a client that knows only one of clusterIP and clusterIPs change just that one.
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

// dropForType removes what belonged to the old type, if the caller left it as it was. What the caller changed stays, to
// be refused by validation rather than lost.
func dropForType(svc, old *v1.Service) {
	now, before := &svc.Spec, &old.Spec
	if needsClusterIP(old) && !needsClusterIP(svc) {
		dropAddresses(now, before)
	}
	if mayHaveNodePorts(old) && !mayHaveNodePorts(svc) && nodePortsOf(before.Ports).IsSuperset(nodePortsOf(now.Ports)) {
		for i := range now.Ports {
			now.Ports[i].NodePort = 0
		}
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

// drop empties a field that is what it was.
func drop[T any](now *T, before T) {
	if apiequality.Semantic.DeepEqual(*now, before) {
		var zero T
		*now = zero
	}
}
