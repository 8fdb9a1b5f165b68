package apiserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/validation"
)

func podKind() kind[*corev1.Pod] {
	return kind[*corev1.Pod]{
		resource: corev1.Resource("pods"), singular: "pod", shortNames: []string{"po"}, categories: []string{"all"},
		table:     printers.Pods(),
		newObject: func() *corev1.Pod { return &corev1.Pod{} },
		newList:   func() runtime.Object { return &corev1.PodList{} },
		prepareCreate: func(_ context.Context, pod *corev1.Pod) {
			pod.Generation = 1
			validation.PreparePodCreate(pod)
			pod.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qosClass(pod)}
			if len(pod.Spec.SchedulingGates) > 0 {
				setPodCondition(&pod.Status, corev1.PodCondition{
					Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated,
					Message: "the Pod has scheduling gates",
				})
			}
		},
		prepareUpdate: func(_ context.Context, pod, old *corev1.Pod) {
			pod.Status = old.Status
			pod.Generation = old.Generation
			if !apiequality.Semantic.DeepEqual(pod.Spec, old.Spec) {
				pod.Generation++
			}
		},
		validate:       validation.ValidatePod,
		validateUpdate: validation.ValidatePodUpdate,
		warn:           validation.PodWarnings,
		unconditional:  true,
		selectable: func(pod *corev1.Pod) fields.Set {
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
		},
		indexed: "spec.nodeName",
		status: &statusKind[*corev1.Pod]{
			prepareUpdate:  preparePodStatus,
			validateUpdate: validation.ValidatePodStatusUpdate,
			warn:           validation.PodStatusWarnings,
			reset:          []string{"metadata.deletionTimestamp", "metadata.ownerReferences"},
		},
		graceful: gracefulPod,
	}
}

// preparePodStatus restores what a write to the status cannot change: the spec, and of the metadata what only a delete
// request or the garbage collector may touch. A writer that knows nothing of qosClass or of observed generations does
// not erase them.
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
	observed := map[corev1.PodConditionType][]int64{} // a list, for a type may be there twice
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

// gracefulPod sets the grace period of a delete request. A Pod that no agent runs has nobody to wait for.
func gracefulPod(pod *corev1.Pod, options *metav1.DeleteOptions) bool {
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

// qosClass is the quality-of-service class of a new Pod, by its containers' requests and limits.
func qosClass(pod *corev1.Pod) corev1.PodQOSClass {
	guaranteed, any := true, false
	for _, c := range append(append([]corev1.Container{}, pod.Spec.InitContainers...), pod.Spec.Containers...) {
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

// bindingREST serves pods/binding: it puts a Pod on a node, once.
type bindingREST struct{ pods *registry.Store }

var _ rest.NamedCreater = &bindingREST{}

func (r *bindingREST) New() runtime.Object   { return &corev1.Binding{} }
func (r *bindingREST) Destroy()              {} // the store belongs to pods
func (r *bindingREST) NamespaceScoped() bool { return true }

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the UID of a binding: it is the Pod that the client
// means.
func (r *bindingREST) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create binds the Pod called name to the binding's target.
func (r *bindingREST) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc,
	options *metav1.CreateOptions) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %T", obj))
	}
	if name != binding.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if errs := validation.ValidatePodBinding(binding); len(errs) > 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Binding").GroupKind(), name, errs)
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	bind := func(_ context.Context, obj, _ runtime.Object) (runtime.Object, error) {
		return bindPod(obj.(*corev1.Pod), binding)
	}
	// The storage is written past the strategy, which rightly keeps nodeName from changing.
	key, err := r.pods.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	err = r.pods.Storage.GuaranteedUpdate(ctx, key, &corev1.Pod{}, false, nil, func(obj runtime.Object,
		_ storageMeta) (runtime.Object, *uint64, error) {
		pod, err := bind(ctx, obj, nil)
		return pod, nil, err
	}, len(options.DryRun) > 0, nil)
	if err != nil {
		return nil, storeError(err, corev1.Resource("pods/binding"), name)
	}
	return &metav1.Status{Status: metav1.StatusSuccess, Code: 201}, nil
}

func bindPod(pod *corev1.Pod, binding *corev1.Binding) (*corev1.Pod, error) {
	conflict := func(why string) error {
		return apierrors.NewConflict(corev1.Resource("pods/binding"), pod.Name, errors.New(why))
	}
	if binding.UID != "" && binding.UID != pod.UID {
		return nil, conflict("precondition failed: the pod has another UID")
	}
	if pod.DeletionTimestamp != nil {
		return nil, conflict(fmt.Sprintf("pod %s is being deleted, cannot be assigned to a host", pod.Name))
	}
	if pod.Spec.NodeName != "" {
		return nil, conflict(fmt.Sprintf("pod %s is already assigned to node %q", pod.Name, pod.Spec.NodeName))
	}
	pod.Spec.NodeName = binding.Target.Name
	pod.Generation++
	setPodCondition(&pod.Status, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue,
		LastTransitionTime: metav1.Now()})
	return pod, nil
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
