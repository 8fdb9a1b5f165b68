package validation

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// portKey must be unique among the ports of a Service: a protocol with a port, or with a node port.
type portKey struct {
	Protocol v1.Protocol
	Port     int32
}

func servicePorts(svc *v1.Service, spec *field.Path) field.ErrorList {
	ports, path := svc.Spec.Ports, spec.Child("ports")
	var errs field.ErrorList
	if len(ports) == 0 && !headless(&svc.Spec) && svc.Spec.Type != v1.ServiceTypeExternalName {
		errs = append(errs, field.Required(path, "at least one, unless the Service is headless or an ExternalName"))
	}
	names := sets.New[string]()
	for i := range ports {
		errs = append(errs, servicePort(&ports[i], len(ports) > 1, names, path.Index(i))...)
	}
	return concat(errs, forbiddenNodePorts(svc, path), duplicatePorts(ports, path))
}

// servicePort checks one port and adds its name to names.
func servicePort(port *v1.ServicePort, nameNeeded bool, names sets.Set[string], path *field.Path) field.ErrorList {
	return concat(
		portName(path.Child("name"), port.Name, nameNeeded),
		distinctName(path.Child("name"), port.Name, names),
		portNumber(path.Child("port"), port.Port),
		protocol(path.Child("protocol"), port.Protocol),
		targetPort(path.Child("targetPort"), port.TargetPort),
		appProtocol(path.Child("appProtocol"), port.AppProtocol),
	)
}

// portName checks the name of a port of a Service, an Endpoints or an EndpointSlice.
func portName(path *field.Path, name string, needed bool) field.ErrorList {
	if name == "" && needed {
		return field.ErrorList{field.Required(path, "when there is more than one port")}
	}
	return optionalName(path, name, syntax.IsDNS1123Label)
}

// distinctName refuses a name that is in names, and adds it to them. The empty name may repeat.
func distinctName(path *field.Path, name string, names sets.Set[string]) field.ErrorList {
	if name == "" {
		return nil
	}
	if names.Has(name) {
		return field.ErrorList{field.Duplicate(path, name)}
	}
	names.Insert(name)
	return nil
}

func portNumber(path *field.Path, port int32) field.ErrorList {
	return invalid(path, port, syntax.IsValidPortNum(int(port)))
}

func protocol(path *field.Path, p v1.Protocol) field.ErrorList {
	return requiredOneOf(path, p, v1.ProtocolTCP, v1.ProtocolUDP, v1.ProtocolSCTP)
}

func appProtocol(path *field.Path, name *string) field.ErrorList {
	if name == nil {
		return nil
	}
	return invalid(path, *name, syntax.IsQualifiedName(*name))
}

// targetPort checks a port given by number or by the name of a container port.
func targetPort(path *field.Path, port intstr.IntOrString) field.ErrorList {
	if port.Type == intstr.String {
		return invalid(path, port.StrVal, syntax.IsValidPortName(port.StrVal))
	}
	return portNumber(path, port.IntVal)
}

func forbiddenNodePorts(svc *v1.Service, path *field.Path) field.ErrorList {
	if svc.Spec.Type != v1.ServiceTypeClusterIP {
		return nil
	}
	var errs field.ErrorList
	for i, port := range svc.Spec.Ports {
		if port.NodePort != 0 {
			errs = append(errs, field.Forbidden(path.Index(i).Child("nodePort"), "may not be set for the type ClusterIP"))
		}
	}
	return errs
}

func duplicatePorts(ports []v1.ServicePort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen, seenNodePorts := sets.New[portKey](), sets.New[portKey]()
	for i, port := range ports {
		key := portKey{port.Protocol, port.NodePort}
		if port.NodePort != 0 && seenNodePorts.Has(key) {
			errs = append(errs, field.Duplicate(path.Index(i).Child("nodePort"), port.NodePort))
		}
		seenNodePorts.Insert(key)
		key.Port = port.Port
		if seen.Has(key) {
			errs = append(errs, field.Duplicate(path.Index(i), key))
		}
		seen.Insert(key)
	}
	return errs
}
