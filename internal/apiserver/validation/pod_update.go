package validation

import (
	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidatePodUpdate checks the change from old to pod. Of a Pod's spec little can change: the images, a shorter deadline, more
// tolerations, fewer scheduling gates, and a negative grace period, which older servers stored, can become one second.
func ValidatePodUpdate(pod, old *v1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	errs := concat(
		changedMeta(&pod.ObjectMeta, &old.ObjectMeta),
		podSpec(&pod.Spec, spec),
	)
	if len(pod.Spec.Containers) != len(old.Spec.Containers) {
		return append(errs, field.Forbidden(spec.Child("containers"), "containers cannot be added or removed"))
	}
	if len(pod.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return append(errs, field.Forbidden(spec.Child("initContainers"), "containers cannot be added or removed"))
	}
	return concat(errs,
		shorterDeadline(pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds, spec.Child("activeDeadlineSeconds")),
		moreTolerations(pod.Spec.Tolerations, old.Spec.Tolerations, spec.Child("tolerations")),
		fewerGates(&pod.Spec, &old.Spec, spec.Child("schedulingGates")),
		restUnchanged(&pod.Spec, &old.Spec, spec),
	)
}

// shorterDeadline checks that a deadline, once set, only comes nearer.
func shorterDeadline(now, before *int64, path *field.Path) field.ErrorList {
	switch {
	case before == nil:
		return nil
	case now == nil:
		return field.ErrorList{field.Invalid(path, now, "may not be removed once set")}
	case *now > *before:
		return field.ErrorList{field.Invalid(path, *now, "may not be more than it was")}
	}
	return nil
}

// moreTolerations checks that each toleration of before is still there; its seconds may differ.
func moreTolerations(now, before []v1.Toleration, path *field.Path) field.ErrorList {
	have := map[v1.Toleration]bool{}
	for _, t := range now {
		t.TolerationSeconds = nil
		have[t] = true
	}
	for _, t := range before {
		t.TolerationSeconds = nil
		if !have[t] {
			return field.ErrorList{field.Forbidden(path, "tolerations may be added, not changed or removed")}
		}
	}
	return nil
}

func fewerGates(now, before *v1.PodSpec, path *field.Path) field.ErrorList {
	had := sets.New[v1.PodSchedulingGate](before.SchedulingGates...)
	for _, gate := range now.SchedulingGates {
		if !had.Has(gate) {
			return field.ErrorList{field.Forbidden(path, "gates may be removed, not added")}
		}
	}
	return nil
}

// restUnchanged puts what may change back as it was, and compares the rest.
func restUnchanged(now, before *v1.PodSpec, path *field.Path) field.ErrorList {
	munged := now.DeepCopy()
	for i := range munged.Containers {
		munged.Containers[i].Image = before.Containers[i].Image
	}
	for i := range munged.InitContainers {
		munged.InitContainers[i].Image = before.InitContainers[i].Image
	}
	munged.ActiveDeadlineSeconds = before.ActiveDeadlineSeconds
	munged.Tolerations = before.Tolerations
	munged.SchedulingGates = before.SchedulingGates
	if grace := before.TerminationGracePeriodSeconds; grace != nil && *grace < 0 {
		if g := munged.TerminationGracePeriodSeconds; g != nil && *g == 1 {
			munged.TerminationGracePeriodSeconds = grace
		}
	}
	if apiequality.Semantic.DeepEqual(munged, before) {
		return nil
	}
	return field.ErrorList{field.Forbidden(path, "of a Pod's spec only these may change: containers[*].image, initContainers[*].image, "+
		"activeDeadlineSeconds, tolerations (additions), schedulingGates (removals), and a negative terminationGracePeriodSeconds to 1")}
}

// ValidatePodStatusUpdate checks a change of the status. That nothing else changes is for the storage strategy to see to.
func ValidatePodStatusUpdate(pod, old *v1.Pod) field.ErrorList {
	path := field.NewPath("status")
	status := &pod.Status
	errs := concat(
		changedMeta(&pod.ObjectMeta, &old.ObjectMeta),
		optionalName(path.Child("nominatedNodeName"), status.NominatedNodeName, isSubdomain),
		podAddresses(status, path),
	)
	if pod.Spec.NodeName != old.Spec.NodeName {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "nodeName"), "may not be changed with the status"))
	}
	if pod.Spec.RestartPolicy == v1.RestartPolicyNever || pod.Spec.RestartPolicy == v1.RestartPolicyOnFailure {
		errs = append(errs, noRevival(pod, old, path.Child("containerStatuses"))...)
	}
	if old.Status.QOSClass != "" {
		errs = append(errs, immutable(path.Child("qosClass"), status.QOSClass, old.Status.QOSClass)...)
	}
	return errs
}

// podAddresses checks podIPs and hostIPs: one address of each family at most. That the singular fields agree, DefaultPod sees to.
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

// noRevival checks that a container which ended for good is not reported to run again.
func noRevival(pod, old *v1.Pod, path *field.Path) field.ErrorList {
	ended := map[string]bool{}
	for _, c := range old.Status.ContainerStatuses {
		if t := c.State.Terminated; t != nil {
			ended[c.Name] = pod.Spec.RestartPolicy == v1.RestartPolicyNever || t.ExitCode == 0
		}
	}
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].RestartPolicy != nil {
			delete(ended, pod.Spec.Containers[i].Name) // it follows a policy of its own
		}
	}
	var errs field.ErrorList
	for i, c := range pod.Status.ContainerStatuses {
		if ended[c.Name] && c.State.Terminated == nil {
			errs = append(errs, field.Forbidden(path.Index(i).Child("state"), "a container that ended for good cannot run again"))
		}
	}
	return errs
}
