package node

import (
	"fmt"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// fieldValue reads the field of the Pod that a fieldRef names. A label or annotation that is not set is empty, as in
// Kubernetes; an unknown path is an error.
func fieldValue(in envInputs, path string) (string, error) {
	if key, ok := subscript(path, "metadata.labels"); ok {
		return in.Pod.Labels[key], nil
	}
	if key, ok := subscript(path, "metadata.annotations"); ok {
		return in.Pod.Annotations[key], nil
	}
	switch path {
	case "metadata.name":
		return in.Pod.Name, nil
	case "metadata.namespace":
		return in.Pod.Namespace, nil
	case "metadata.uid":
		return string(in.Pod.UID), nil
	case "spec.nodeName", "spec.host":
		return in.Pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return in.Pod.Spec.ServiceAccountName, nil
	case "status.podIP":
		return first(in.PodIPs), nil
	case "status.podIPs":
		return strings.Join(in.PodIPs, ","), nil
	case "status.hostIP":
		return first(in.HostIPs), nil
	case "status.hostIPs":
		return strings.Join(in.HostIPs, ","), nil
	}
	return "", fmt.Errorf("fieldPath %q is not supported for variables", path)
}

// subscript takes KEY out of field['KEY'].
func subscript(path, field string) (key string, ok bool) {
	rest, ok := strings.CutPrefix(path, field+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "']")
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// resourceValue computes a resourceFieldRef: the amount in units of the divisor, rounded up. A limit that is not set is
// the node's allocatable amount.
func resourceValue(in envInputs, c *v1.Container, ref *v1.ResourceFieldSelector) (string, error) {
	if ref.ContainerName != "" && ref.ContainerName != c.Name {
		if c = findContainer(&in.Pod.Spec, ref.ContainerName); c == nil {
			return "", fmt.Errorf("resourceFieldRef: no container %q", ref.ContainerName)
		}
	}
	side, resource, _ := strings.Cut(ref.Resource, ".")
	name := v1.ResourceName(resource)
	var amount = c.Resources.Requests[name]
	switch side {
	case "requests":
	case "limits":
		var set bool
		if amount, set = c.Resources.Limits[name]; !set {
			amount = in.Node[name]
		}
	default:
		return "", fmt.Errorf("resourceFieldRef: resource %q is neither limits.… nor requests.…", ref.Resource)
	}
	// CPU is counted in thousandths on both sides, or a divisor of 1m would count as 1.
	if name == v1.ResourceCPU {
		return divide(amount.MilliValue(), ref.Divisor.MilliValue(), 1000), nil
	}
	return divide(amount.Value(), ref.Divisor.Value(), 1), nil
}

// divide gives amount/divisor, rounded up; a divisor that is not set counts as one.
func divide(amount, divisor, one int64) string {
	if divisor <= 0 {
		divisor = one
	}
	quotient := amount / divisor
	if amount%divisor > 0 {
		quotient++
	}
	return strconv.FormatInt(quotient, 10)
}

// findContainer gives the container of that name, or nil.
func findContainer(spec *v1.PodSpec, name string) *v1.Container {
	for i := range spec.Containers {
		if spec.Containers[i].Name == name {
			return &spec.Containers[i]
		}
	}
	for i := range spec.InitContainers {
		if spec.InitContainers[i].Name == name {
			return &spec.InitContainers[i]
		}
	}
	return nil
}
