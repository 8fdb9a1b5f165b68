package apiserver

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// holding is a set of allocated things.
type holding struct {
	addrs map[netip.Addr]bool
	ports map[int32]bool
}

func held(svc *corev1.Service) holding {
	if svc == nil {
		return holding{}
	}
	return holding{addrs: clusterIPs(svc), ports: nodePorts(svc)}
}

// minus is what h has and other does not.
func (h holding) minus(other holding) holding {
	out := holding{addrs: map[netip.Addr]bool{}, ports: map[int32]bool{}}
	for addr := range h.addrs {
		if !other.addrs[addr] {
			out.addrs[addr] = true
		}
	}
	for port := range h.ports {
		if !other.ports[port] {
			out.ports[port] = true
		}
	}
	return out
}

func clusterIPs(svc *corev1.Service) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, s := range append([]string{svc.Spec.ClusterIP}, svc.Spec.ClusterIPs...) {
		if addr, err := netip.ParseAddr(s); err == nil {
			out[addr] = true
		}
	}
	return out
}

func nodePorts(svc *corev1.Service) map[int32]bool {
	out := map[int32]bool{}
	for _, p := range svc.Spec.Ports {
		if p.NodePort != 0 {
			out[p.NodePort] = true
		}
	}
	if svc.Spec.HealthCheckNodePort != 0 {
		out[svc.Spec.HealthCheckNodePort] = true
	}
	return out
}

func ownerName(svc *corev1.Service) string { return svc.Namespace + "/" + svc.Name }
