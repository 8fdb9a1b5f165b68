package validation

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The limits of an EndpointSlice.
const (
	maxSliceEndpoints    = 1000
	maxSlicePorts        = 20000
	maxEndpointAddresses = 100
	maxEndpointTopology  = 16
	maxEndpointHints     = 8
)

// DefaultEndpointSlice sets an empty name and the protocol TCP for ports that leave them out.
func DefaultEndpointSlice(slice *discoveryv1.EndpointSlice) {
	for i := range slice.Ports {
		defaultPointer(&slice.Ports[i].Name, "")
		defaultPointer(&slice.Ports[i].Protocol, v1.ProtocolTCP)
	}
}

// ValidateEndpointSlice checks a new slice.
func ValidateEndpointSlice(slice *discoveryv1.EndpointSlice, opts Options) field.ErrorList {
	return concat(
		newMeta(&slice.ObjectMeta, namespaced, apivalidation.NameIsDNSSubdomain),
		sliceErrors(slice),
		sliceEndpoints(slice, opts),
	)
}

// ValidateEndpointSliceUpdate checks the change from old to slice. Unchanged endpoints are always accepted.
func ValidateEndpointSliceUpdate(slice, old *discoveryv1.EndpointSlice, opts Options) field.ErrorList {
	errs := concat(
		changedMeta(&slice.ObjectMeta, &old.ObjectMeta),
		sliceErrors(slice),
		immutable(field.NewPath("addressType"), slice.AddressType, old.AddressType),
	)
	if apiequality.Semantic.DeepEqual(slice.Endpoints, old.Endpoints) {
		return errs
	}
	return append(errs, sliceEndpoints(slice, opts)...)
}

// sliceErrors checks everything except the endpoints.
func sliceErrors(slice *discoveryv1.EndpointSlice) field.ErrorList {
	return concat(
		requiredOneOf(field.NewPath("addressType"), slice.AddressType,
			discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN),
		slicePorts(slice.Ports, field.NewPath("ports")),
	)
}

// slicePorts checks the ports. Their numbers are not checked and may be absent, as upstream leaves them to
// consumers.
func slicePorts(ports []discoveryv1.EndpointPort, path *field.Path) field.ErrorList {
	if len(ports) > maxSlicePorts {
		return field.ErrorList{field.TooMany(path, len(ports), maxSlicePorts)}
	}
	var errs field.ErrorList
	names := sets.New[string]()
	for i := range ports {
		errs = append(errs, slicePort(&ports[i], names, path.Index(i))...)
	}
	return errs
}

func slicePort(port *discoveryv1.EndpointPort, names sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if port.Name != nil {
		errs = optionalName(path.Child("name"), *port.Name, syntax.IsDNS1123Label)
		if names.Has(*port.Name) {
			errs = append(errs, field.Duplicate(path.Child("name"), *port.Name))
		}
		names.Insert(*port.Name)
	}
	var p v1.Protocol
	if port.Protocol != nil {
		p = *port.Protocol
	}
	return concat(errs, protocol(path.Child("protocol"), p), appProtocol(path.Child("appProtocol"), port.AppProtocol))
}

func sliceEndpoints(slice *discoveryv1.EndpointSlice, opts Options) field.ErrorList {
	path := field.NewPath("endpoints")
	if len(slice.Endpoints) > maxSliceEndpoints {
		return field.ErrorList{field.TooMany(path, len(slice.Endpoints), maxSliceEndpoints)}
	}
	var errs field.ErrorList
	for i := range slice.Endpoints {
		errs = append(errs, sliceEndpoint(&slice.Endpoints[i], slice.AddressType, path.Index(i), opts)...)
	}
	return errs
}

func sliceEndpoint(e *discoveryv1.Endpoint, addressType discoveryv1.AddressType, path *field.Path,
	opts Options) field.ErrorList {
	errs := sliceAddresses(e.Addresses, addressType, path.Child("addresses"), opts)
	if e.NodeName != nil {
		errs = append(errs, invalid(path.Child("nodeName"), *e.NodeName, isSubdomain(*e.NodeName))...)
	}
	if e.Hostname != nil {
		errs = append(errs, invalid(path.Child("hostname"), *e.Hostname, syntax.IsDNS1123Label(*e.Hostname))...)
	}
	topology := path.Child("deprecatedTopology")
	if len(e.DeprecatedTopology) > maxEndpointTopology {
		errs = append(errs, field.TooMany(topology, len(e.DeprecatedTopology), maxEndpointTopology))
	}
	errs = append(errs, metavalidation.ValidateLabels(e.DeprecatedTopology, topology)...)
	if e.Hints != nil {
		errs = append(errs, sliceHints(e.Hints, path.Child("hints"))...)
	}
	return errs
}

func sliceAddresses(addresses []string, addressType discoveryv1.AddressType, path *field.Path,
	opts Options) field.ErrorList {
	if len(addresses) == 0 {
		return field.ErrorList{field.Required(path, "must have at least one")}
	}
	var errs field.ErrorList
	if len(addresses) > maxEndpointAddresses {
		errs = append(errs, field.TooMany(path, len(addresses), maxEndpointAddresses))
	}
	for i, a := range addresses {
		switch addressType {
		case discoveryv1.AddressTypeIPv4:
			errs = append(errs, sliceAddress(a, v1.IPv4Protocol, path, i, opts)...)
		case discoveryv1.AddressTypeIPv6:
			errs = append(errs, sliceAddress(a, v1.IPv6Protocol, path, i, opts)...)
		case discoveryv1.AddressTypeFQDN:
			errs = append(errs, syntax.IsFullyQualifiedDomainName(path.Index(i), a)...)
		}
	}
	return errs
}

// sliceAddress checks the i-th address of the list at path. A wrong family is reported for the list, as upstream
// reports it.
func sliceAddress(a string, family v1.IPFamily, path *field.Path, i int, opts Options) field.ErrorList {
	parse := address(path.Index(i), a)
	if family == v1.IPv6Protocol {
		parse = syntax.IsValidIP(path.Index(i), a)
	}
	if len(parse) > 0 {
		return parse
	}
	var errs field.ErrorList
	if familyOf(a) != family {
		errs = append(errs, field.Invalid(path, a, fmt.Sprintf("must be an %s address", family)))
	}
	return append(errs, endpointAddress(path.Index(i), a, opts)...)
}

func sliceHints(hints *discoveryv1.EndpointHints, path *field.Path) field.ErrorList {
	zones := make([]string, len(hints.ForZones))
	for i := range hints.ForZones {
		zones[i] = hints.ForZones[i].Name
	}
	nodes := make([]string, len(hints.ForNodes))
	for i := range hints.ForNodes {
		nodes[i] = hints.ForNodes[i].Name
	}
	return concat(
		hintNames(zones, path.Child("forZones"), syntax.IsValidLabelValue),
		hintNames(nodes, path.Child("forNodes"), isSubdomain),
	)
}

func hintNames(names []string, path *field.Path, check func(string) []string) field.ErrorList {
	if len(names) > maxEndpointHints {
		return field.ErrorList{field.TooMany(path, len(names), maxEndpointHints)}
	}
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, name := range names {
		if seen.Has(name) {
			errs = append(errs, field.Duplicate(path.Index(i).Child("name"), name))
		}
		seen.Insert(name)
		errs = append(errs, invalid(path.Index(i).Child("name"), name, check(name))...)
	}
	return errs
}
