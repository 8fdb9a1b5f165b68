// Package validation says what an API object must look like: what is filled in when a field is left out (the Default
// functions), which fields follow from others (Prepare and Init), what is refused, with the field named (the Validate
// functions), and what is accepted with a remark (the Warnings functions). The rules are those of Kubernetes v1.36, so
// that a manifest which works there works here, and one refused there is refused here for the same field and with the
// same kind of error.
//
// It is pure: a function's answer depends on its arguments alone. It must not read a clock, log, allocate an address or
// a port, or look at any object but those given. The Default and Prepare functions change the object they are given and
// nothing else; the Validate functions change nothing.
//
// Paths and kinds of errors are upstream's, the odd ones too: spec.LoadBalancerSourceRanges with its capital, the bare
// allocateLoadBalancerNodePorts, metadata.taints. A comment says so where one is met.
//
// Fields that Viaduct does not use pass with their syntax checked, or unchecked where even that would be a field of its
// own (disks of cloud providers, Windows), so that a manifest written for a larger cluster is not refused for them.
//
// Endpoints are the way by which one user could make the server's proxy, or another's traffic, reach an address that
// only the server or a node can reach (the confused deputy of CVE-2021-25740). So loopback, link-local, link-local
// multicast and unspecified addresses are refused in Endpoints, EndpointSlices and externalIPs. In the loopback mode
// (Options.AllowLoopback) 127.0.0.0/8 and ::1 are addresses of Pods, so the first two may hold them, and nothing else
// changes: link-local never passes.
package validation

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Options are the rules that differ between installations.
type Options struct {
	// AllowLoopback lets 127.0.0.0/8 and ::1 be endpoint addresses. It belongs to the loopback mode, where the host is the
	// cluster; anywhere else such an address would mean a different machine on each node.
	AllowLoopback bool
}

// concat joins the findings of several checks into one list, nil if there are none.
func concat(lists ...field.ErrorList) field.ErrorList {
	return slices.Concat(lists...)
}

// invalid makes one Invalid error of each complaint about value.
func invalid(path *field.Path, value any, complaints []string) field.ErrorList {
	var errs field.ErrorList
	for _, complaint := range complaints {
		errs = append(errs, field.Invalid(path, value, complaint))
	}
	return errs
}

// requiredOneOf checks a field that must hold one of the allowed values.
func requiredOneOf[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return oneOf(path, value, allowed...)
}

// oneOf checks that value is one of those allowed. The empty string is a value like any other.
func oneOf[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}
	slices.Sort(allowed)
	return field.ErrorList{field.NotSupported(path, value, allowed)}
}

// required checks that a text is there.
func required(path *field.Path, value, detail string) field.ErrorList {
	if value != "" {
		return nil
	}
	return field.ErrorList{field.Required(path, detail)}
}

// requiredName checks a text that must be there and pass a syntax check.
func requiredName(path *field.Path, value string, syntax func(string) []string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return invalid(path, value, syntax(value))
}

// optionalName checks a text that, if there, must pass a syntax check.
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
