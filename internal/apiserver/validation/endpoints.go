package validation

import (
	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DefaultEndpoints sets the protocol TCP for ports without a protocol.
func DefaultEndpoints(ep *v1.Endpoints) {
	for i := range ep.Subsets {
		for j := range ep.Subsets[i].Ports {
			defaultTo(&ep.Subsets[i].Ports[j].Protocol, v1.ProtocolTCP)
		}
	}
}

// ValidateEndpoints checks a new Endpoints. Its name may contain dots, although the name of a Service may not.
func ValidateEndpoints(ep *v1.Endpoints, opts Options) field.ErrorList {
	return concat(newMeta(&ep.ObjectMeta, namespaced, apivalidation.NameIsDNSSubdomain), subsets(ep.Subsets, opts))
}

// ValidateEndpointsUpdate checks the change from old to ep. Unchanged subsets are accepted even if a new object
// could not have them, so that an object stored under older rules can still be labelled.
func ValidateEndpointsUpdate(ep, old *v1.Endpoints, opts Options) field.ErrorList {
	errs := changedMeta(&ep.ObjectMeta, &old.ObjectMeta)
	if apiequality.Semantic.DeepEqual(ep.Subsets, old.Subsets) {
		return errs
	}
	return append(errs, subsets(ep.Subsets, opts)...)
}

func subsets(list []v1.EndpointSubset, opts Options) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		errs = append(errs, subset(&list[i], field.NewPath("subsets").Index(i), opts)...)
	}
	return errs
}

func subset(s *v1.EndpointSubset, path *field.Path, opts Options) field.ErrorList {
	var errs field.ErrorList
	if len(s.Addresses) == 0 && len(s.NotReadyAddresses) == 0 {
		errs = append(errs, field.Required(path, "must have addresses or notReadyAddresses"))
	}
	for i := range s.Addresses {
		errs = append(errs, subsetAddress(&s.Addresses[i], path.Child("addresses").Index(i), opts)...)
	}
	for i := range s.NotReadyAddresses {
		errs = append(errs, subsetAddress(&s.NotReadyAddresses[i], path.Child("notReadyAddresses").Index(i), opts)...)
	}
	for i := range s.Ports {
		errs = append(errs, subsetPort(&s.Ports[i], len(s.Ports) > 1, path.Child("ports").Index(i))...)
	}
	return errs
}

// subsetAddress checks one address. Text that is not an address is reported by both checks, as upstream reports it.
func subsetAddress(a *v1.EndpointAddress, path *field.Path, opts Options) field.ErrorList {
	errs := concat(
		address(path.Child("ip"), a.IP),
		endpointAddress(path.Child("ip"), a.IP, opts),
		optionalName(path.Child("hostname"), a.Hostname, syntax.IsDNS1123Label),
	)
	if a.NodeName != nil {
		errs = append(errs, invalid(path.Child("nodeName"), *a.NodeName, isSubdomain(*a.NodeName))...)
	}
	return errs
}

func subsetPort(port *v1.EndpointPort, nameNeeded bool, path *field.Path) field.ErrorList {
	return concat(
		portName(path.Child("name"), port.Name, nameNeeded),
		portNumber(path.Child("port"), port.Port),
		protocol(path.Child("protocol"), port.Protocol),
		appProtocol(path.Child("appProtocol"), port.AppProtocol),
	)
}
