package membership

import (
	"cmp"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A Port is one port of a Service as a Member offers it.
type Port struct {
	Name        string // of the Service's port; "" if it has none
	Number      int32  // where the Member listens
	Protocol    v1.Protocol
	AppProtocol string // "" if the Service says none
}

func comparePorts(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.AppProtocol, b.AppProtocol))
}

// ResolvePorts gives the ports of svc as pod offers them, sorted, and the names of those that no container of pod has.
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

// resolver is ResolvePorts for many Pods of one Service: those that offer the same ports share them in memory.
type resolver struct {
	svc  *v1.Service
	last []Port // of the Pod before
	any  bool   // there was one
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

// named says whether the ports may differ from Pod to Pod.
func (r *resolver) named() bool {
	return slices.ContainsFunc(r.svc.Spec.Ports,
		func(sp v1.ServicePort) bool { return sp.TargetPort.Type == intstr.String })
}

func protocolOf(p v1.Protocol) v1.Protocol { return cmp.Or(p, v1.ProtocolTCP) }

// targetNumber resolves a targetPort: a number is itself, none is the Service's own; a name is looked for in the
// containers, and in those init containers that go on running beside them.
func targetNumber(sp v1.ServicePort, pod *v1.Pod) (int32, bool) {
	if sp.TargetPort == intstr.FromString("") {
		return sp.Port, true // or it would be found at the first port without a name
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
