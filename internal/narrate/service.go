package narrate

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Service describes a new, changed or deleted Service. before is nil if it is new, after if it is deleted.
func Service(before, after *v1.Service) string {
	switch {
	case before == nil && after == nil:
		return ""
	case before == nil:
		return fmt.Sprintf("service %s created: %s", title(after), where(after))
	case after == nil:
		return fmt.Sprintf("service %s deleted", title(before))
	case where(before) != where(after):
		return fmt.Sprintf("service %s changed: %s (was %s)", title(after), where(after), where(before))
	default:
		return ""
	}
}

// ServiceFound describes a Service that existed before the Narrator started.
func ServiceFound(svc *v1.Service) string {
	return fmt.Sprintf("service %s exists: %s", title(svc), where(svc))
}

// where says how a client reaches svc: its address, then its ports.
func where(svc *v1.Service) string {
	switch {
	case svc.Spec.Type == v1.ServiceTypeExternalName:
		return "external name " + svc.Spec.ExternalName
	case svc.Spec.ClusterIP == v1.ClusterIPNone:
		return "headless" + ports(svc)
	case svc.Spec.ClusterIP == "":
		return "no cluster IP yet" + ports(svc)
	default:
		return svc.Spec.ClusterIP + ports(svc)
	}
}

// ports lists the ports of svc with their target ports, such as " port 80/TCP (http) to 8080".
func ports(svc *v1.Service) string {
	all := make([]string, 0, len(svc.Spec.Ports))
	for _, p := range svc.Spec.Ports {
		all = append(all, port(p))
	}
	if len(all) == 0 {
		return ""
	}
	return " port " + strings.Join(all, ", ")
}

func port(p v1.ServicePort) string {
	s := fmt.Sprintf("%d/%s", p.Port, protocol(p.Protocol))
	if p.Name != "" {
		s += " (" + p.Name + ")"
	}
	if p.TargetPort.Type == intstr.String || (p.TargetPort.IntVal != 0 && p.TargetPort.IntVal != p.Port) {
		s += " to " + p.TargetPort.String()
	}
	return s
}

func protocol(p v1.Protocol) v1.Protocol {
	if p == "" {
		return v1.ProtocolTCP
	}
	return p
}
