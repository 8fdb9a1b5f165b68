package validation

import (
	"fmt"
	"math"
	"strings"

	v1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidatePod checks a new Pod in the fields that Viaduct uses. Other fields are accepted.
func ValidatePod(pod *v1.Pod) field.ErrorList {
	path := field.NewPath("spec")
	errs := concat(
		newMeta(&pod.ObjectMeta, namespaced, apivalidation.NameIsDNSSubdomain),
		podSpec(&pod.Spec, path),
	)
	if len(pod.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(path.Child("ephemeralContainers"), "a Pod cannot be created with them"))
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		errs = append(errs, field.Forbidden(path.Child("nodeName"), "may not be set while there are schedulingGates"))
	}
	return errs
}

// ValidatePodBinding checks the request that binds a Pod to a node.
func ValidatePodBinding(binding *v1.Binding) field.ErrorList {
	target := field.NewPath("target")
	return concat(
		oneOf(target.Child("kind"), binding.Target.Kind, "", "Node"),
		requiredName(target.Child("name"), binding.Target.Name, isSubdomain),
	)
}

func podSpec(s *v1.PodSpec, path *field.Path) field.ErrorList {
	volumes, errs := podVolumes(s.Volumes, path.Child("volumes"))
	return concat(
		errs,
		podContainers(s, volumes, path),
		podEnd(s, path),
		podNames(s, path),
		podDNS(s, path),
		metavalidation.ValidateLabels(s.NodeSelector, path.Child("nodeSelector")),
		podAffinity(s.Affinity, path.Child("affinity")),
		spreadConstraints(s.TopologySpreadConstraints, path.Child("topologySpreadConstraints")),
		podTolerations(s.Tolerations, path.Child("tolerations")),
		podSecurity(s, path),
		podGates(s, path),
		hostAliases(s.HostAliases, path.Child("hostAliases")),
		containerResources(&v1.ResourceRequirements{Limits: s.Overhead}, path.Child("overhead")),
		podPlatform(s, path),
	)
}

// podEnd checks when and how the Pod ends. A negative grace period is accepted and means one second.
func podEnd(s *v1.PodSpec, path *field.Path) field.ErrorList {
	errs := concat(
		requiredOneOf(path.Child("restartPolicy"), s.RestartPolicy,
			v1.RestartPolicyAlways, v1.RestartPolicyOnFailure, v1.RestartPolicyNever),
		activeDeadline(s.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds")),
	)
	if s.TerminationGracePeriodSeconds == nil {
		errs = append(errs, field.Required(path.Child("terminationGracePeriodSeconds"), ""))
	}
	return errs
}

// podPlatform checks the fields that a scheduler and a node use to choose.
func podPlatform(s *v1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.PreemptionPolicy != nil {
		errs = requiredOneOf(path.Child("preemptionPolicy"), *s.PreemptionPolicy, v1.PreemptLowerPriority, v1.PreemptNever)
	}
	if s.RuntimeClassName != nil {
		errs = append(errs, invalid(path.Child("runtimeClassName"), *s.RuntimeClassName, isSubdomain(*s.RuntimeClassName))...)
	}
	if s.OS == nil {
		return errs
	}
	if s.OS.Name == "" {
		return append(errs, field.Required(path.Child("os", "name"), ""))
	}
	return append(errs, oneOf(path.Child("os"), s.OS.Name, v1.Linux, v1.Windows)...)
}

// activeDeadline checks how many seconds the Pod may run.
func activeDeadline(seconds *int64, path *field.Path) field.ErrorList {
	if seconds == nil || *seconds >= 1 && *seconds <= math.MaxInt32 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *seconds, syntax.InclusiveRangeError(1, math.MaxInt32))}
}

func podNames(s *v1.PodSpec, path *field.Path) field.ErrorList {
	return concat(
		optionalName(path.Child("hostname"), s.Hostname, syntax.IsDNS1123Label),
		optionalName(path.Child("subdomain"), s.Subdomain, syntax.IsDNS1123Label),
		optionalName(path.Child("nodeName"), s.NodeName, isSubdomain),
		optionalName(path.Child("serviceAccountName"), s.ServiceAccountName, isSubdomain),
		optionalName(path.Child("priorityClassName"), s.PriorityClassName, isSubdomain),
	)
}

// The limits of a resolver in the C library.
const (
	maxNameservers  = 3
	maxSearchPaths  = 32
	maxSearchLength = 2048 // of all search paths with a space between each
)

func podDNS(s *v1.PodSpec, path *field.Path) field.ErrorList {
	errs := requiredOneOf(path.Child("dnsPolicy"), s.DNSPolicy,
		v1.DNSClusterFirstWithHostNet, v1.DNSClusterFirst, v1.DNSDefault, v1.DNSNone)
	config, path := s.DNSConfig, path.Child("dnsConfig")
	none := s.DNSPolicy == v1.DNSNone
	switch {
	case config == nil && none:
		return append(errs, field.Required(path, "when dnsPolicy is None"))
	case config == nil:
		return errs
	case len(config.Nameservers) == 0 && none:
		return append(errs, field.Required(path.Child("nameservers"), "at least one when dnsPolicy is None"))
	}
	return concat(errs, nameservers(config.Nameservers, path.Child("nameservers")), searchPaths(config.Searches,
		path.Child("searches")),
		dnsOptions(config.Options, path.Child("options")))
}

func nameservers(list []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(list) > maxNameservers {
		errs = append(errs, field.Invalid(path, list, fmt.Sprintf("must not be more than %d", maxNameservers)))
	}
	for i, ip := range list {
		errs = append(errs, address(path.Index(i), ip)...)
	}
	return errs
}

// searchPaths checks the search domains. A single dot is the root. Underscores are accepted, since many real domains
// have them.
func searchPaths(list []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(list) > maxSearchPaths {
		errs = append(errs, field.Invalid(path, list, fmt.Sprintf("must not be more than %d", maxSearchPaths)))
	}
	if len(strings.Join(list, " ")) > maxSearchLength {
		errs = append(errs, field.Invalid(path, list, fmt.Sprintf("must not be longer than %d bytes together",
			maxSearchLength)))
	}
	for i, domain := range list {
		if domain != "." {
			domain = strings.TrimSuffix(domain, ".")
			errs = append(errs, invalid(path.Index(i), domain, syntax.IsDNS1123SubdomainWithUnderscore(domain))...)
		}
	}
	return errs
}

func dnsOptions(list []v1.PodDNSConfigOption, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, option := range list {
		errs = append(errs, required(path.Index(i), option.Name, "a name")...)
	}
	return errs
}

func podTolerations(list []v1.Toleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		errs = append(errs, toleration(&list[i], path.Index(i))...)
	}
	return errs
}

func toleration(t *v1.Toleration, path *field.Path) field.ErrorList {
	errs := optionalName(path.Child("key"), t.Key, syntax.IsQualifiedName)
	operator := path.Child("operator")
	if t.Key == "" && t.Operator != v1.TolerationOpExists {
		errs = append(errs, field.Invalid(operator, t.Operator, "must be Exists when key is empty"))
	}
	if t.TolerationSeconds != nil && t.Effect != v1.TaintEffectNoExecute {
		errs = append(errs, field.Invalid(path.Child("effect"), t.Effect, "must be NoExecute when tolerationSeconds is set"))
	}
	switch t.Operator {
	case v1.TolerationOpEqual, "":
		errs = append(errs, invalid(operator, t.Value, syntax.IsValidLabelValue(t.Value))...)
	case v1.TolerationOpExists:
		if t.Value != "" {
			errs = append(errs, field.Invalid(operator, t.Operator, "value must be empty when operator is Exists"))
		}
	case v1.TolerationOpLt, v1.TolerationOpGt: // of a numeric value; nothing here evaluates them
	default:
		errs = append(errs, field.NotSupported(operator, t.Operator, []v1.TolerationOperator{v1.TolerationOpEqual,
			v1.TolerationOpExists}))
	}
	return append(errs, oneOf(path.Child("effect"), t.Effect, "",
		v1.TaintEffectNoSchedule, v1.TaintEffectPreferNoSchedule, v1.TaintEffectNoExecute)...)
}

// podGates checks scheduling gates and readiness gates.
func podGates(s *v1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i, gate := range s.SchedulingGates {
		at := path.Child("schedulingGates").Index(i)
		errs = append(errs, invalid(at, gate.Name, syntax.IsQualifiedName(gate.Name))...)
		errs = append(errs, distinctName(at, gate.Name, names)...)
	}
	for i, gate := range s.ReadinessGates {
		condition := string(gate.ConditionType)
		errs = append(errs, invalid(path.Child("readinessGates").Index(i).Child("conditionType"), condition,
			syntax.IsQualifiedName(condition))...)
	}
	return errs
}

func hostAliases(list []v1.HostAlias, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, alias := range list {
		errs = append(errs, address(path.Index(i).Child("ip"), alias.IP)...)
		for j, name := range alias.Hostnames {
			errs = append(errs, invalid(path.Index(i).Child("hostnames").Index(j), name, isSubdomain(name))...)
		}
	}
	return errs
}
