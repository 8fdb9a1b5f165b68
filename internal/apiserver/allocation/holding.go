package allocation

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
)

// Owner is the Service that a record is made for. Two Services that had the same name are two owners.
type Owner struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"` // empty in records of other programs, which are compared by name
}

func (o Owner) String() string { return o.Namespace + "/" + o.Name }

// OwnerOf returns the owner that svc is.
func OwnerOf(svc *corev1.Service) Owner {
	return Owner{Namespace: svc.Namespace, Name: svc.Name, UID: svc.UID}
}

// is reports whether a record of o belongs to svc.
func (o Owner) is(svc Owner) bool {
	return o.Namespace == svc.Namespace && o.Name == svc.Name && (o.UID == "" || o.UID == svc.UID)
}

// holding is the set of numbers that a Service holds.
type holding struct {
	addrs sets.Set[netip.Addr]
	ports sets.Set[int32]
}

// held returns the numbers in the fields of a Service. A nil Service holds nothing.
func held(svc *corev1.Service) holding {
	h := holding{addrs: sets.New[netip.Addr](), ports: sets.New[int32]()}
	if svc == nil {
		return h
	}
	if hasAddresses(&svc.Spec) {
		for _, s := range clusterIPs(&svc.Spec) {
			if addr, err := netip.ParseAddr(s); err == nil {
				h.addrs.Insert(addr)
			}
		}
	}
	if mayHaveNodePorts(&svc.Spec) {
		for _, p := range svc.Spec.Ports {
			h.ports.Insert(p.NodePort)
		}
	}
	if needsHealthPort(&svc.Spec) {
		h.ports.Insert(svc.Spec.HealthCheckNodePort)
	}
	h.ports.Delete(0)
	return h
}

// without returns the numbers of h that other does not have.
func (h holding) without(other holding) holding {
	return holding{addrs: h.addrs.Difference(other.addrs), ports: h.ports.Difference(other.ports)}
}

// clusterIPs returns the cluster IPs, also those of a Service that was stored before spec.clusterIPs existed.
func clusterIPs(spec *corev1.ServiceSpec) []string {
	if len(spec.ClusterIPs) == 0 && spec.ClusterIP != "" {
		return []string{spec.ClusterIP}
	}
	return spec.ClusterIPs
}

// hasAddresses reports whether the Service is neither headless nor of type ExternalName.
func hasAddresses(spec *corev1.ServiceSpec) bool {
	return spec.Type != corev1.ServiceTypeExternalName && spec.ClusterIP != corev1.ClusterIPNone &&
		!slices.Contains(spec.ClusterIPs, corev1.ClusterIPNone)
}

// mayHaveNodePorts reports whether the Service holds the node ports that it names.
func mayHaveNodePorts(spec *corev1.ServiceSpec) bool {
	return spec.Type == corev1.ServiceTypeNodePort || spec.Type == corev1.ServiceTypeLoadBalancer
}

// needsNodePorts reports whether ports without a node port get one.
func needsNodePorts(spec *corev1.ServiceSpec) bool {
	if spec.Type == corev1.ServiceTypeLoadBalancer {
		return spec.AllocateLoadBalancerNodePorts == nil || *spec.AllocateLoadBalancerNodePorts
	}
	return spec.Type == corev1.ServiceTypeNodePort
}

// needsHealthPort reports whether load balancers must ask each node for local endpoints.
func needsHealthPort(spec *corev1.ServiceSpec) bool {
	return spec.Type == corev1.ServiceTypeLoadBalancer &&
		spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}
