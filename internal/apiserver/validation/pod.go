package validation

import (
	"math"

	v1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidatePod checks a new Pod, in what Viaduct uses of it. Other fields pass.
func ValidatePod(pod *v1.Pod) field.ErrorList {
	path := field.NewPath("spec")
	errs := concat(
		newMeta(&pod.ObjectMeta, namespaced, apivalidation.NameIsDNSSubdomain),
		podSpec(&pod.Spec, path),
		gracePeriod(pod.Spec.TerminationGracePeriodSeconds, path.Child("terminationGracePeriodSeconds")),
	)
	if len(pod.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(path.Child("ephemeralContainers"), "a Pod cannot be created with them"))
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		errs = append(errs, field.Forbidden(path.Child("nodeName"), "may not be set while there are schedulingGates"))
	}
	return errs
}

// ValidatePodBinding checks the request that gives a Pod its node.
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
		requiredOneOf(path.Child("restartPolicy"), s.RestartPolicy,
			v1.RestartPolicyAlways, v1.RestartPolicyOnFailure, v1.RestartPolicyNever),
		activeDeadline(s.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds")),
		podNames(s, path),
		podDNS(s, path),
		metavalidation.ValidateLabels(s.NodeSelector, path.Child("nodeSelector")),
		podTolerations(s.Tolerations, path.Child("tolerations")),
		podUsers(s.SecurityContext, path.Child("securityContext")),
		podGates(s, path),
		hostAliases(s.HostAliases, path.Child("hostAliases")),
	)
}

// gracePeriod checks how many seconds the Pod may take to end. Servers of old stored negative numbers, so it is not asked of Pods that
// are there already.
func gracePeriod(seconds *int64, path *field.Path) field.ErrorList {
	if seconds == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	if *seconds < 0 {
		return field.ErrorList{field.Invalid(path, *seconds, "must not be negative")}
	}
	return nil
}

// activeDeadline checks how many seconds the Pod may run.
func activeDeadline(seconds *int64, path *field.Path) field.ErrorList {
	if seconds == nil || *seconds >= 1 && *seconds <= math.MaxInt32 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *seconds, syntax.InclusiveRangeError(1, math.MaxInt32))}
}

func podNames(s *v1.PodSpec, path *field.Path) field.ErrorList {
	errs := concat(
		optionalName(path.Child("hostname"), s.Hostname, syntax.IsDNS1123Label),
		optionalName(path.Child("subdomain"), s.Subdomain, syntax.IsDNS1123Label),
		optionalName(path.Child("nodeName"), s.NodeName, isSubdomain),
		optionalName(path.Child("schedulerName"), s.SchedulerName, isSubdomain),
		optionalName(path.Child("serviceAccountName"), s.ServiceAccountName, isSubdomain),
		optionalName(path.Child("priorityClassName"), s.PriorityClassName, isSubdomain),
	)
	for i, secret := range s.ImagePullSecrets {
		errs = append(errs, required(path.Child("imagePullSecrets").Index(i).Child("name"), secret.Name, "")...)
	}
	return errs
}

func podDNS(s *v1.PodSpec, path *field.Path) field.ErrorList {
	errs := requiredOneOf(path.Child("dnsPolicy"), s.DNSPolicy,
		v1.DNSClusterFirstWithHostNet, v1.DNSClusterFirst, v1.DNSDefault, v1.DNSNone)
	path = path.Child("dnsConfig")
	if s.DNSPolicy == v1.DNSNone && (s.DNSConfig == nil || len(s.DNSConfig.Nameservers) == 0) {
		errs = append(errs, field.Required(path.Child("nameservers"), "at least one when dnsPolicy is None"))
	}
	if s.DNSConfig == nil {
		return errs
	}
	for i, ip := range s.DNSConfig.Nameservers {
		errs = append(errs, address(path.Child("nameservers").Index(i), ip)...)
	}
	for i, option := range s.DNSConfig.Options {
		errs = append(errs, required(path.Child("options").Index(i).Child("name"), option.Name, "")...)
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
		errs = append(errs, field.NotSupported(operator, t.Operator, []v1.TolerationOperator{v1.TolerationOpEqual, v1.TolerationOpExists}))
	}
	return append(errs, oneOf(path.Child("effect"), t.Effect, "",
		v1.TaintEffectNoSchedule, v1.TaintEffectPreferNoSchedule, v1.TaintEffectNoExecute)...)
}

func podUsers(sc *v1.PodSecurityContext, path *field.Path) field.ErrorList {
	if sc == nil {
		return nil
	}
	errs := concat(userID(path.Child("runAsUser"), sc.RunAsUser), groupID(path.Child("runAsGroup"), sc.RunAsGroup),
		groupID(path.Child("fsGroup"), sc.FSGroup))
	for i, group := range sc.SupplementalGroups {
		errs = append(errs, groupID(path.Child("supplementalGroups").Index(i), &group)...)
	}
	return errs
}

func userID(path *field.Path, id *int64) field.ErrorList {
	if id == nil {
		return nil
	}
	return invalid(path, *id, syntax.IsValidUserID(*id))
}

func groupID(path *field.Path, id *int64) field.ErrorList {
	if id == nil {
		return nil
	}
	return invalid(path, *id, syntax.IsValidGroupID(*id))
}

// podGates checks what keeps a Pod from being bound, and what keeps it from being ready.
func podGates(s *v1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i, gate := range s.SchedulingGates {
		name := path.Child("schedulingGates").Index(i).Child("name")
		errs = append(errs, requiredName(name, gate.Name, syntax.IsQualifiedName)...)
		errs = append(errs, distinctName(name, gate.Name, names)...)
	}
	for i, gate := range s.ReadinessGates {
		condition := string(gate.ConditionType)
		errs = append(errs, invalid(path.Child("readinessGates").Index(i).Child("conditionType"), condition, syntax.IsQualifiedName(condition))...)
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
