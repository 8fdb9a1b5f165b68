package validation

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	syntax "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidatePodStatusUpdate checks a change of the status. The storage strategy keeps the other fields.
func ValidatePodStatusUpdate(pod, old *v1.Pod) field.ErrorList {
	path := field.NewPath("status")
	status, before := &pod.Status, &old.Status
	errs := concat(
		changedMeta(&pod.ObjectMeta, &old.ObjectMeta),
		podConditions(status.Conditions),
		immutable(path.Child("qosClass"), status.QOSClass, before.QOSClass),
		podAddresses(status, path),
		containersStayEnded(pod, old, path),
	)
	if pod.Spec.NodeName != old.Spec.NodeName {
		errs = append(errs, field.Forbidden(path.Child("nodeName"), "may not be changed with the status"))
	}
	if status.NominatedNodeName != before.NominatedNodeName {
		errs = append(errs, optionalName(path.Child("nominatedNodeName"), status.NominatedNodeName, isSubdomain)...)
	}
	return errs
}

// podConditions checks the types of conditions that are not Kubernetes' own. The path begins with metadata, and Type
// has a capital, as upstream reports it.
func podConditions(conditions []v1.PodCondition) field.ErrorList {
	var errs field.ErrorList
	for i, c := range conditions {
		switch c.Type {
		case v1.PodScheduled, v1.PodReady, v1.PodInitialized:
			continue
		}
		at := field.NewPath("metadata", "conditions").Index(i).Child("Type")
		errs = append(errs, invalid(at, string(c.Type), syntax.IsQualifiedName(string(c.Type)))...)
	}
	return errs
}

// podAddresses checks podIPs and hostIPs: at most one address of each family. DefaultPod makes the singular fields
// agree.
func podAddresses(status *v1.PodStatus, path *field.Path) field.ErrorList {
	podIPs := make([]string, len(status.PodIPs))
	for i := range status.PodIPs {
		podIPs[i] = status.PodIPs[i].IP
	}
	hostIPs := make([]string, len(status.HostIPs))
	for i := range status.HostIPs {
		hostIPs[i] = status.HostIPs[i].IP
	}
	return concat(addressPair(path.Child("podIPs"), podIPs), addressPair(path.Child("hostIPs"), hostIPs))
}

// containersStayEnded checks that a container which has ended for good is not reported as running again.
func containersStayEnded(pod, old *v1.Pod, path *field.Path) field.ErrorList {
	now, before, policy := &pod.Status, &old.Status, old.Spec.RestartPolicy
	return concat(
		stayEnded(now.ContainerStatuses, before.ContainerStatuses, policy, withPolicy(old.Spec.Containers),
			path.Child("containerStatuses")),
		stayEnded(now.InitContainerStatuses, before.InitContainerStatuses, policy, withPolicy(old.Spec.InitContainers),
			path.Child("initContainerStatuses")),
		stayEnded(now.EphemeralContainerStatuses, before.EphemeralContainerStatuses, v1.RestartPolicyNever, nil,
			path.Child("ephemeralContainerStatuses")),
	)
}

// withPolicy returns the names of containers with their own restart policy.
func withPolicy(containers []v1.Container) sets.Set[string] {
	names := sets.New[string]()
	for i := range containers {
		if containers[i].RestartPolicy != nil {
			names.Insert(containers[i].Name)
		}
	}
	return names
}

// stayEnded checks one list of statuses. The index in an error is that of the old list, as upstream's is.
func stayEnded(now, before []v1.ContainerStatus, policy v1.RestartPolicy, exempt sets.Set[string],
	path *field.Path) field.ErrorList {
	if policy == v1.RestartPolicyAlways {
		return nil
	}
	var errs field.ErrorList
	for i, c := range before {
		ended := c.State.Terminated
		if ended == nil || exempt.Has(c.Name) || ended.ExitCode != 0 && policy == v1.RestartPolicyOnFailure {
			continue
		}
		for _, again := range now {
			if again.Name == c.Name && again.State.Terminated == nil {
				errs = append(errs, field.Forbidden(path.Index(i).Child("state"),
					"a container that ended for good cannot run again"))
			}
		}
	}
	return errs
}
