package kinds

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"viaduct/internal/apiserver/validation"
)

// bindingREST handles pods/binding. A scheduler uses it to assign a Pod to a node, once.
type bindingREST struct{ pods *registry.Store }

var _ rest.NamedCreater = &bindingREST{}

// New implements rest.Storage.
func (r *bindingREST) New() runtime.Object { return &corev1.Binding{} }

// Destroy implements rest.Storage. The resource pods owns the store.
func (r *bindingREST) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (r *bindingREST) NamespaceScoped() bool { return true }

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the UID of a binding: it names the Pod that the client
// saw.
func (r *bindingREST) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create binds the Pod called name to the binding's target. It writes to the storage, not through the strategy, which
// keeps nodeName from changing.
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
	key, err := r.pods.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	err = r.pods.Storage.GuaranteedUpdate(ctx, key, &corev1.Pod{}, false, nil,
		func(obj runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
			pod, err := bindPod(obj.(*corev1.Pod), binding)
			return pod, nil, err
		}, len(options.DryRun) > 0, nil)
	if err != nil {
		return nil, storeerr.InterpretUpdateError(err, corev1.Resource("pods/binding"), name)
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
