package validation

import (
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// containerRules is what the checks of a container need to know about its Pod.
type containerRules struct {
	names        sets.Set[string] // of the containers before it; two of one Pod cannot share a name
	hostPorts    sets.Set[hostPort]
	volumes      volumesByName
	hostNetwork  bool   // of the main containers; others may differ
	ownUsers     bool   // hostUsers is false
	graceSeconds *int64 // nil where the Pod does not say, which is reported by itself
}

// hostPort identifies a port of the host, which only one container of a Pod can use.
type hostPort struct {
	Protocol v1.Protocol
	HostIP   string
	Port     int32
}

func podContainers(s *v1.PodSpec, volumes volumesByName, path *field.Path) field.ErrorList {
	rules := &containerRules{
		names: sets.New[string](), volumes: volumes, hostNetwork: s.HostNetwork,
		ownUsers: s.HostUsers != nil && !*s.HostUsers, graceSeconds: s.TerminationGracePeriodSeconds,
	}
	var errs field.ErrorList
	if len(s.Containers) == 0 {
		errs = append(errs, field.Required(path.Child("containers"), "at least one"))
	}
	rules.hostPorts = sets.New[hostPort]()
	for i := range s.Containers {
		errs = append(errs, container(&s.Containers[i], rules, path.Child("containers").Index(i))...)
		errs = append(errs, hooksAndProbes(&s.Containers[i], rules, path.Child("containers").Index(i))...)
	}
	rules.hostNetwork = false
	for i := range s.InitContainers {
		rules.hostPorts = sets.New[hostPort]() // they run one after the other
		errs = append(errs, initContainer(&s.InitContainers[i], rules, path.Child("initContainers").Index(i))...)
	}
	return errs
}

// initContainer checks an init container. A sidecar (restartPolicy Always) may have probes; an init container that
// ends may not.
func initContainer(c *v1.Container, rules *containerRules, path *field.Path) field.ErrorList {
	errs := container(c, rules, path)
	if c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
		return append(errs, hooksAndProbes(c, rules, path)...)
	}
	forbid := func(present bool, name string) {
		if present {
			errs = append(errs, field.Forbidden(path.Child(name), "an init container that ends cannot have one"))
		}
	}
	forbid(c.Lifecycle != nil, "lifecycle")
	forbid(c.LivenessProbe != nil, "livenessProbe")
	forbid(c.ReadinessProbe != nil, "readinessProbe")
	forbid(c.StartupProbe != nil, "startupProbe")
	return errs
}

func container(c *v1.Container, rules *containerRules, path *field.Path) field.ErrorList {
	return concat(
		requiredName(path.Child("name"), c.Name, syntax.IsDNS1123Label),
		distinctName(path.Child("name"), c.Name, rules.names),
		containerImage(c, path),
		containerPolicies(c, path),
		containerPorts(c.Ports, rules, path.Child("ports")),
		containerEnv(c, path),
		volumeMounts(c, rules.volumes, path.Child("volumeMounts")),
		volumeDevices(c, rules.volumes, path.Child("volumeDevices")),
		containerResources(&c.Resources, path.Child("resources")),
		containerSecurity(c.SecurityContext, rules.ownUsers, path.Child("securityContext")),
	)
}

func containerImage(c *v1.Container, path *field.Path) field.ErrorList {
	if c.Image != "" && c.Image != strings.TrimSpace(c.Image) {
		return field.ErrorList{field.Invalid(path.Child("image"), c.Image, "must not begin or end with white space")}
	}
	return required(path.Child("image"), c.Image, "")
}

// pulls checks the image pull policy.
func pulls(policy v1.PullPolicy, path *field.Path) field.ErrorList {
	return requiredOneOf(path, policy, v1.PullAlways, v1.PullIfNotPresent, v1.PullNever)
}

func containerPolicies(c *v1.Container, path *field.Path) field.ErrorList {
	errs := concat(
		requiredOneOf(path.Child("terminationMessagePolicy"), c.TerminationMessagePolicy,
			v1.TerminationMessageReadFile, v1.TerminationMessageFallbackToLogsOnError),
		pulls(c.ImagePullPolicy, path.Child("imagePullPolicy")),
	)
	if c.RestartPolicy != nil {
		errs = append(errs, oneOf(path.Child("restartPolicy"), *c.RestartPolicy, v1.ContainerRestartPolicyAlways,
			v1.ContainerRestartPolicyOnFailure, v1.ContainerRestartPolicyNever)...)
	}
	return errs
}

func containerPorts(ports []v1.ContainerPort, rules *containerRules, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i := range ports {
		errs = append(errs, containerPort(&ports[i], names, path.Index(i))...)
		errs = append(errs, takeHostPort(&ports[i], rules, path.Index(i))...)
	}
	return errs
}

func containerPort(port *v1.ContainerPort, names sets.Set[string], path *field.Path) field.ErrorList {
	errs := concat(
		optionalName(path.Child("name"), port.Name, syntax.IsValidPortName),
		distinctName(path.Child("name"), port.Name, names),
		protocol(path.Child("protocol"), port.Protocol),
	)
	if port.ContainerPort == 0 {
		errs = append(errs, field.Required(path.Child("containerPort"), ""))
	} else {
		errs = append(errs, portNumber(path.Child("containerPort"), port.ContainerPort)...)
	}
	return errs
}

// takeHostPort checks the port of the host. hostIP may be any text, as upstream accepts it.
func takeHostPort(port *v1.ContainerPort, rules *containerRules, path *field.Path) field.ErrorList {
	path = path.Child("hostPort")
	var errs field.ErrorList
	if rules.hostNetwork && port.HostPort != port.ContainerPort {
		errs = append(errs, field.Invalid(path, port.HostPort, "must be the containerPort when hostNetwork is set"))
	}
	if port.HostPort == 0 {
		return errs
	}
	errs = append(errs, portNumber(path, port.HostPort)...)
	key := hostPort{port.Protocol, port.HostIP, port.HostPort}
	if rules.hostPorts.Has(key) {
		errs = append(errs, field.Duplicate(path, port.HostPort))
	}
	rules.hostPorts.Insert(key)
	return errs
}
