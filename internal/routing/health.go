package routing

import (
	"net/netip"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"

	"viaduct/internal/annotations"
)

// A HealthCheck is the answer to a load balancer that asks whether this node has endpoints of a Service, and how many.
// Only Services of type LoadBalancer with externalTrafficPolicy Local have one.
type HealthCheck struct {
	Service Name
	Port    uint16 // spec.healthCheckNodePort
	// Local is the number of endpoints on this node that are ready and not drained. A terminating endpoint does not count.
	Local int
}

// HealthCheckOf is the health check of svc, if svc has one. from are its EndpointSlices, in any order. A Pod with an
// address of each family counts once.
func HealthCheckOf(node Node, svc *v1.Service, from []*discovery.EndpointSlice) (HealthCheck, bool) {
	port := svc.Spec.HealthCheckNodePort
	if svc.Spec.Type != v1.ServiceTypeLoadBalancer ||
		svc.Spec.ExternalTrafficPolicy != v1.ServiceExternalTrafficPolicyLocal || port < 1 || port > 65535 {
		return HealthCheck{}, false
	}
	ready := map[bool]map[netip.Addr]bool{false: {}, true: {}} // by family; true: IPv6
	for _, slice := range Effective(from) {
		weights, _ := annotations.SliceWeights(slice)
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			here := node.Name != "" && valueOr(e.NodeName, "") == node.Name
			if !here || !valueOr(e.Conditions.Ready, true) || len(e.Addresses) == 0 {
				continue
			}
			if a, ok := parseAddr(e.Addresses[0]); ok && weights.Of(a) > 0 {
				ready[a.Is6()][a] = true
			}
		}
	}
	return HealthCheck{Name{Namespace: svc.Namespace, Name: svc.Name}, uint16(port), max(len(ready[false]),
		len(ready[true]))}, true
}
