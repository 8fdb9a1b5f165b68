package kinds

import (
	"context"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/validation"
)

func pod() resource.Kind[*corev1.Pod] {
	return resource.Kind[*corev1.Pod]{
		Group: coreGroup,
		Names: resource.Names{Plural: "pods", Singular: "pod", Short: []string{"po"}, Categories: []string{"all"}},
		Rules: resource.Rules[*corev1.Pod]{
			Default: validation.DefaultPod, PrepareCreate: preparePod, PrepareUpdate: preparePodUpdate,
			Validate: validation.ValidatePod, ValidateUpdate: validation.ValidatePodUpdate, Warn: validation.PodWarnings,
			Graceful:                 setGracePeriod,
			AllowUnconditionalUpdate: true,
		},
		Selection: resource.Selection[*corev1.Pod]{Fields: podFields, Index: "spec.nodeName"},
		Status: &resource.Subresource[*corev1.Pod]{
			PrepareUpdate:  preparePodStatus,
			ValidateUpdate: validation.ValidatePodStatusUpdate,
			Warn:           validation.PodStatusWarnings,
			Reset:          []string{"metadata.deletionTimestamp", "metadata.ownerReferences"},
		},
		Storing: resource.Storing[*corev1.Pod]{Intern: internPod},
		Serving: resource.Serving{Table: printers.Pods()},
	}
}

func podFields(pod *corev1.Pod) fields.Set {
	return fields.Set{
		"spec.nodeName":            pod.Spec.NodeName,
		"spec.restartPolicy":       string(pod.Spec.RestartPolicy),
		"spec.schedulerName":       pod.Spec.SchedulerName,
		"spec.serviceAccountName":  pod.Spec.ServiceAccountName,
		"spec.hostNetwork":         strconv.FormatBool(pod.Spec.HostNetwork),
		"status.phase":             string(pod.Status.Phase),
		"status.podIP":             pod.Status.PodIP,
		"status.nominatedNodeName": pod.Status.NominatedNodeName,
	}
}

func preparePod(_ context.Context, pod *corev1.Pod) {
	pod.Generation = 1
	validation.PreparePodCreate(pod)
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qosClass(pod)}
	if len(pod.Spec.SchedulingGates) > 0 {
		setPodCondition(&pod.Status, corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated,
			Message: "the Pod has scheduling gates",
		})
	}
}

func preparePodUpdate(_ context.Context, pod, old *corev1.Pod) {
	pod.Status = old.Status
	pod.Generation = old.Generation
	if !apiequality.Semantic.DeepEqual(pod.Spec, old.Spec) {
		pod.Generation++
	}
}

// preparePodStatus restores what a write to the status cannot change: the spec, and the metadata that only a delete
// request or the garbage collector may change. A client that does not know qosClass or observed generations does not
// erase them.
func preparePodStatus(pod, old *corev1.Pod) {
	pod.Spec = old.Spec
	pod.DeletionTimestamp = nil
	pod.Generation = old.Generation
	pod.OwnerReferences = old.OwnerReferences
	if pod.Status.QOSClass == "" {
		pod.Status.QOSClass = old.Status.QOSClass
	}
	if pod.Status.ObservedGeneration == 0 {
		pod.Status.ObservedGeneration = old.Status.ObservedGeneration
	}
	observed := map[corev1.PodConditionType][]int64{} // a list: a type may occur twice
	for _, c := range old.Status.Conditions {
		observed[c.Type] = append(observed[c.Type], c.ObservedGeneration)
	}
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if before := observed[c.Type]; len(before) > 0 {
			observed[c.Type] = before[1:]
			if c.ObservedGeneration == 0 {
				c.ObservedGeneration = before[0]
			}
		}
	}
}

// setGracePeriod sets the grace period of a delete request, in seconds. It is 0 for a Pod that no agent runs.
func setGracePeriod(pod *corev1.Pod, options *metav1.DeleteOptions) bool {
	period := int64(30)
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		period = *pod.Spec.TerminationGracePeriodSeconds
	}
	if options.GracePeriodSeconds != nil {
		period = *options.GracePeriodSeconds
	}
	finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if pod.Spec.NodeName == "" || finished {
		period = 0
	}
	if period < 0 {
		period = 1
	}
	options.GracePeriodSeconds = &period
	return true
}

// qosClass returns the quality-of-service class of a new Pod, by its containers' requests and limits.
func qosClass(pod *corev1.Pod) corev1.PodQOSClass {
	guaranteed, any := true, false
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			request, limit := c.Resources.Requests[name], c.Resources.Limits[name]
			any = any || !request.IsZero() || !limit.IsZero()
			guaranteed = guaranteed && !limit.IsZero() && (request.IsZero() || request.Cmp(limit) == 0)
		}
	}
	switch {
	case !any:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

func setPodCondition(status *corev1.PodStatus, c corev1.PodCondition) {
	for i := range status.Conditions {
		if status.Conditions[i].Type == c.Type {
			status.Conditions[i] = c
			return
		}
	}
	status.Conditions = append(status.Conditions, c)
}
