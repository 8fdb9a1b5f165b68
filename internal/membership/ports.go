package membership

import (
	"cmp"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A Port is one port of a Service as a Member offers it.
type Port struct {
	Name        string // the name of the Service's port; "" if it has none
	Number      int32  // the port on which the Member listens
	Protocol    v1.Protocol
	AppProtocol string // "" if the Service has none
}

func comparePorts(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.AppProtocol, b.AppProtocol))
}

// ResolvePorts returns the ports of svc as pod offers them, sorted, and the target port names that no container of pod
// has.
func ResolvePorts(svc *v1.Service, pod *v1.Pod) (ports []Port, missing []string) {
	for _, sp := range svc.Spec.Ports {
		number, ok := targetNumber(sp, pod)
		if !ok {
			missing = append(missing, sp.TargetPort.StrVal)
			continue
		}
		p := Port{Name: sp.Name, Number: number, Protocol: protocolOf(sp.Protocol)}
		if sp.AppProtocol != nil {
			p.AppProtocol = *sp.AppProtocol
		}
		ports = append(ports, p)
	}
	slices.SortFunc(ports, comparePorts)
	return slices.Compact(ports), missing
}

// resolver runs ResolvePorts for many Pods of one Service. Pods with the same ports share one list in memory.
type resolver struct {
	svc  *v1.Service
	last []Port // the ports of the Pod before
	any  bool   // last is set
}

func (r *resolver) ports(pod *v1.Pod) []Port {
	if r.any && !r.named() {
		return r.last
	}
	ports, _ := ResolvePorts(r.svc, pod)
	if !r.any || !slices.Equal(ports, r.last) {
		r.last, r.any = ports, true
	}
	return r.last
}

// named says whether a target port is a name, so that the ports may differ between Pods.
func (r *resolver) named() bool {
	return slices.ContainsFunc(r.svc.Spec.Ports,
		func(sp v1.ServicePort) bool { return sp.TargetPort.Type == intstr.String })
}

func protocolOf(p v1.Protocol) v1.Protocol { return cmp.Or(p, v1.ProtocolTCP) }

// targetNumber resolves a targetPort. A number is used as it is, and without a targetPort the Service's own port is
// used. A name is looked up in the containers, and in the init containers that keep running beside them (restartPolicy
// Always).
func targetNumber(sp v1.ServicePort, pod *v1.Pod) (int32, bool) {
	if sp.TargetPort == intstr.FromString("") {
		return sp.Port, true // otherwise the empty name would match the first port without a name
	}
	if sp.TargetPort.Type == intstr.Int {
		return cmp.Or(sp.TargetPort.IntVal, sp.Port), true
	}
	for _, c := range pod.Spec.Containers {
		if n, ok := containerPort(c, sp); ok {
			return n, true
		}
	}
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy == nil || *c.RestartPolicy != v1.ContainerRestartPolicyAlways {
			continue
		}
		if n, ok := containerPort(c, sp); ok {
			return n, true
		}
	}
	return 0, false
}

func containerPort(c v1.Container, sp v1.ServicePort) (int32, bool) {
	for _, p := range c.Ports {
		if p.Name == sp.TargetPort.StrVal && protocolOf(p.Protocol) == protocolOf(sp.Protocol) {
			return p.ContainerPort, true
		}
	}
	return 0, false
}
