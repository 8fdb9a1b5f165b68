// Package validation holds the defaults and the validation of API objects: the Default functions fill in fields that
// are left out, Prepare and Init derive fields from others, the Validate functions return errors that name the field,
// and the Warnings functions return warnings about objects that are accepted. The rules are those of Kubernetes v1.36:
// a manifest that works there works here, and a manifest that is refused there is refused here for the same field and
// with the same kind of error.
//
// The package is pure: a result depends on the arguments alone. It must not read a clock, log, allocate an address or a
// port, or look at objects other than its arguments. The Default and Prepare functions change the object they are given
// and nothing else; the Validate functions change nothing.
//
// Paths and kinds of errors are upstream's, even unusual ones: spec.LoadBalancerSourceRanges with its capital, the bare
// allocateLoadBalancerNodePorts, metadata.taints. A comment marks each of them.
//
// Fields that Viaduct does not use are accepted. Their syntax is checked, except where that would be a large subject of
// its own (disks of cloud providers, Windows). So a manifest written for a larger cluster is not refused for such
// fields.
//
// With Endpoints, one user could direct the server's proxy, or another user's traffic, to an address that only the
// server or a node can reach (the confused deputy of CVE-2021-25740). So loopback, link-local, link-local multicast and
// unspecified addresses are refused in Endpoints, EndpointSlices and externalIPs. In the loopback mode
// (Options.AllowLoopback) 127.0.0.0/8 and ::1 are addresses of Pods, so Endpoints and EndpointSlices may have them.
// Link-local addresses are always refused.
package validation

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Options are the rules that differ between installations.
type Options struct {
	// AllowLoopback allows 127.0.0.0/8 and ::1 as endpoint addresses. It is for the loopback mode, where the host is the
	// cluster; elsewhere such an address would be a different machine on each node.
	AllowLoopback bool
}

// concat joins the errors of several checks, and returns nil if there are none.
func concat(lists ...field.ErrorList) field.ErrorList {
	return slices.Concat(lists...)
}

// invalid returns one Invalid error for each complaint about value.
func invalid(path *field.Path, value any, complaints []string) field.ErrorList {
	var errs field.ErrorList
	for _, complaint := range complaints {
		errs = append(errs, field.Invalid(path, value, complaint))
	}
	return errs
}

// requiredOneOf checks that a field has one of the allowed values.
func requiredOneOf[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return oneOf(path, value, allowed...)
}

// oneOf checks that value is allowed. The empty string is a value like any other.
func oneOf[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}
	slices.Sort(allowed)
	return field.ErrorList{field.NotSupported(path, value, allowed)}
}

// required checks that a text is not empty.
func required(path *field.Path, value, detail string) field.ErrorList {
	if value != "" {
		return nil
	}
	return field.ErrorList{field.Required(path, detail)}
}

// requiredName checks that a text is not empty and passes a syntax check.
func requiredName(path *field.Path, value string, syntax func(string) []string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return invalid(path, value, syntax(value))
}

// optionalName checks the syntax of a text that may be empty.
func optionalName(path *field.Path, value string, syntax func(string) []string) field.ErrorList {
	if value == "" {
		return nil
	}
	return invalid(path, value, syntax(value))
}

// defaultTo fills an empty field.
func defaultTo[T comparable](target *T, value T) {
	var zero T
	if *target == zero {
		*target = value
	}
}

// defaultPointer fills an absent field.
func defaultPointer[T any](target **T, value T) {
	if *target == nil {
		*target = &value
	}
}
