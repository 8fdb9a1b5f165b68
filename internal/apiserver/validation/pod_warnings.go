package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodWarnings warns about a new Pod that is accepted but probably not what its author wants. Updates get no
// warnings, since they come from programs.
func PodWarnings(pod, old *v1.Pod) []string {
	if old != nil {
		return nil
	}
	spec := field.NewPath("spec")
	return slices.Concat(
		podNameWarnings(pod),
		podAnnotationWarnings(pod.Annotations),
		repeatedNameWarnings(&pod.Spec, spec),
		deprecatedVolumeWarnings(pod.Spec.Volumes, spec.Child("volumes")),
		selectorWarnings(&pod.Spec, spec),
		containerWarnings(&pod.Spec, spec),
		portWarnings(&pod.Spec, spec),
		graceWarnings(pod.Spec.TerminationGracePeriodSeconds, spec.Child("terminationGracePeriodSeconds")),
	)
}

// PodStatusWarnings warns about addresses that are not in standard form.
func PodStatusWarnings(pod, _ *v1.Pod) []string {
	path := field.NewPath("status")
	var warnings []string
	for i, ip := range pod.Status.PodIPs {
		warnings = append(warnings, addressWarnings(path.Child("podIPs").Index(i).Child("ip"), ip.IP)...)
	}
	for i, ip := range pod.Status.HostIPs {
		warnings = append(warnings, addressWarnings(path.Child("hostIPs").Index(i).Child("ip"), ip.IP)...)
	}
	return warnings
}

func podNameWarnings(pod *v1.Pod) []string {
	if len(syntax.IsDNS1123Label(pod.Name)) == 0 {
		return nil
	}
	return []string{"metadata.name: the Pod's host name is derived from it, so it should be a DNS label"}
}

// idleAnnotations have no effect any more; a field has replaced each.
var idleAnnotations = map[string]string{
	"scheduler.alpha.kubernetes.io/critical-pod":      "priorityClassName",
	"security.alpha.kubernetes.io/sysctls":            "sysctls",
	"security.alpha.kubernetes.io/unsafe-sysctls":     "sysctls",
	"seccomp.security.alpha.kubernetes.io/pod":        "seccompProfile",
	"container.seccomp.security.alpha.kubernetes.io/": "seccompProfile",
}

func podAnnotationWarnings(annotations map[string]string) []string {
	var warnings []string
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		domain, _, _ := strings.Cut(key, "/")
		instead, idle := idleAnnotations[key]
		if !idle {
			instead, idle = idleAnnotations[domain+"/"]
		}
		if idle {
			warnings = append(warnings, fmt.Sprintf("%s: has no effect, use the field %s", field.NewPath("metadata",
				"annotations").Key(key), instead))
		}
	}
	return warnings
}

// repeatedNameWarnings warns about list entries with the same key, which apply would drop.
func repeatedNameWarnings(s *v1.PodSpec, spec *field.Path) []string {
	var warnings []string
	seen := sets.New[string]()
	for i, alias := range s.HostAliases {
		if seen.Has(alias.IP) {
			warnings = append(warnings, fmt.Sprintf("%s: duplicate address %s",
				spec.Child("hostAliases").Index(i).Child("ip"), alias.IP))
		}
		seen.Insert(alias.IP)
	}
	seen = sets.New[string]()
	for i, secret := range s.ImagePullSecrets {
		path := spec.Child("imagePullSecrets").Index(i).Child("name")
		switch {
		case secret.Name == "":
			warnings = append(warnings, fmt.Sprintf("%s: is empty", path))
		case seen.Has(secret.Name):
			warnings = append(warnings, fmt.Sprintf("%s: duplicate name %s", path, secret.Name))
		}
		seen.Insert(secret.Name)
	}
	return warnings
}

func deprecatedVolumeWarnings(volumes []v1.Volume, path *field.Path) []string {
	var warnings []string
	for i := range volumes {
		v := &volumes[i].VolumeSource
		for _, kind := range []struct {
			name  string
			given bool
			text  string
		}{
			{"photonPersistentDisk", v.PhotonPersistentDisk != nil, "does nothing since v1.16"},
			{"gitRepo", v.GitRepo != nil, "deprecated since v1.11"},
			{"scaleIO", v.ScaleIO != nil, "does nothing since v1.22"},
			{"flocker", v.Flocker != nil, "does nothing since v1.25"},
			{"storageOS", v.StorageOS != nil, "does nothing since v1.25"},
			{"quobyte", v.Quobyte != nil, "does nothing since v1.25"},
			{"glusterfs", v.Glusterfs != nil, "does nothing since v1.26"},
			{"cephfs", v.CephFS != nil, "does nothing since v1.31"},
			{"rbd", v.RBD != nil, "does nothing since v1.31"},
		} {
			if kind.given {
				warnings = append(warnings, fmt.Sprintf("%s: %s", path.Index(i).Child(kind.name), kind.text))
			}
		}
	}
	return warnings
}

// selectorWarnings warns about missing selectors, which match no Pod, while their author may expect every Pod.
func selectorWarnings(s *v1.PodSpec, spec *field.Path) []string {
	var warnings []string
	check := func(absent bool, path *field.Path) {
		if absent {
			warnings = append(warnings, fmt.Sprintf("%s: without a labelSelector it matches no Pod",
				path.Child("labelSelector")))
		}
	}
	for i := range s.TopologySpreadConstraints {
		check(s.TopologySpreadConstraints[i].LabelSelector == nil, spec.Child("topologySpreadConstraints").Index(i))
	}
	terms := func(required []v1.PodAffinityTerm, preferred []v1.WeightedPodAffinityTerm, path *field.Path) {
		for i := range required {
			check(required[i].LabelSelector == nil, path.Child("requiredDuringSchedulingIgnoredDuringExecution").Index(i))
		}
		for i := range preferred {
			check(preferred[i].PodAffinityTerm.LabelSelector == nil,
				path.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i).Child("podAffinityTerm"))
		}
	}
	if a := s.Affinity; a != nil && a.PodAffinity != nil {
		terms(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution,
			a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution, spec.Child("affinity", "podAffinity"))
	}
	if a := s.Affinity; a != nil && a.PodAntiAffinity != nil {
		terms(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution,
			a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution, spec.Child("affinity", "podAntiAffinity"))
	}
	return warnings
}

// eachContainer calls visit with every container and its path, init containers first.
func eachContainer(s *v1.PodSpec, spec *field.Path, visit func(*v1.Container, *field.Path)) {
	for i := range s.InitContainers {
		visit(&s.InitContainers[i], spec.Child("initContainers").Index(i))
	}
	for i := range s.Containers {
		visit(&s.Containers[i], spec.Child("containers").Index(i))
	}
}

func containerWarnings(s *v1.PodSpec, spec *field.Path) []string {
	warnings := fractionWarnings(s.Overhead, spec.Child("overhead"))
	eachContainer(s, spec, func(c *v1.Container, path *field.Path) {
		warnings = append(warnings, fractionWarnings(c.Resources.Limits, path.Child("resources", "limits"))...)
		warnings = append(warnings, fractionWarnings(c.Resources.Requests, path.Child("resources", "requests"))...)
		warnings = append(warnings, hiddenVariableWarnings(c.Env, path.Child("env"))...)
	})
	return warnings
}

// fractionWarnings warns about fractions of a byte, which are usually an m instead of an M.
func fractionWarnings(list v1.ResourceList, path *field.Path) []string {
	var warnings []string
	for _, name := range []v1.ResourceName{v1.ResourceMemory, v1.ResourceEphemeralStorage} {
		if quantity, ok := list[name]; ok && quantity.MilliValue()%1000 != 0 {
			warnings = append(warnings, fmt.Sprintf("%s: %s is no whole number of bytes", path.Key(string(name)),
				quantity.String()))
		}
	}
	return warnings
}

// hiddenVariableWarnings warns about a variable that a later one of the same name hides, unless the later one refers
// to it.
func hiddenVariableWarnings(env []v1.EnvVar, path *field.Path) []string {
	var warnings []string
	seen := sets.New[string]()
	for i, v := range env {
		itself := "$(" + v.Name + ")"
		extends := v.ValueFrom == nil && v.Value != itself && strings.Contains(v.Value, itself)
		if seen.Has(v.Name) && !extends {
			warnings = append(warnings, fmt.Sprintf("%s: hides an earlier %s, which apply may drop", path.Index(i), v.Name))
		}
		seen.Insert(v.Name)
	}
	return warnings
}

// portWarnings warns about ports with the same number and protocol in the containers of a Pod.
func portWarnings(s *v1.PodSpec, spec *field.Path) []string {
	type number struct {
		protocol v1.Protocol
		port     int32
	}
	type place struct {
		path *field.Path
		port v1.ContainerPort
	}
	var warnings []string
	seen := map[number][]place{}
	eachContainer(s, spec, func(c *v1.Container, path *field.Path) {
		for i, port := range c.Ports {
			at := path.Child("ports").Index(i)
			if port.HostIP != "" && port.HostPort == 0 {
				warnings = append(warnings, fmt.Sprintf("%s: hostIP without hostPort means nothing", at))
			}
			key := number{port.Protocol, port.ContainerPort}
			for _, other := range seen[key] {
				if text := portOverlap(&port, &other.port); text != "" {
					warnings = append(warnings, fmt.Sprintf("%s: %s %s", at, text, other.path))
				}
			}
			seen[key] = append(seen[key], place{at, port})
		}
	})
	return warnings
}

// portOverlap describes how two ports of one number and protocol conflict, or returns "".
func portOverlap(a, b *v1.ContainerPort) string {
	switch {
	case a.HostPort == b.HostPort && a.HostIP == b.HostIP:
		return "is the same port as"
	case a.HostPort == 0 || b.HostPort == 0:
		return "overlaps"
	case a.HostPort == b.HostPort && (a.HostIP == "" || b.HostIP == ""):
		return "takes a port of the host from"
	}
	return ""
}

func graceWarnings(seconds *int64, path *field.Path) []string {
	if seconds == nil || *seconds >= 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: is negative, and is taken to be 1", path)}
}
