package authentication

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"viaduct/internal/apiserver/tokens"
	"viaduct/internal/apiserver/validation"
)

// tokenRequestREST handles serviceaccounts/token, as for `kubectl create token`. Nothing is stored.
type tokenRequestREST struct {
	bound     BoundObjects
	authority *tokens.Authority
}

var (
	_ rest.NamedCreater             = &tokenRequestREST{}
	_ rest.GroupVersionKindProvider = &tokenRequestREST{}
)

// New implements rest.Storage.
func (r *tokenRequestREST) New() runtime.Object { return &authenticationv1.TokenRequest{} }

// Destroy implements rest.Storage.
func (r *tokenRequestREST) Destroy() {}

// GroupVersionKind implements rest.GroupVersionKindProvider: the subresource's kind is of another group than its
// resource.
func (r *tokenRequestREST) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

// Create implements rest.NamedCreater.
func (r *tokenRequestREST) Create(ctx context.Context, name string, obj runtime.Object, admit rest.ValidateObjectFunc,
	_ *metav1.CreateOptions) (runtime.Object, error) {
	request, ok := obj.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest: %T", obj))
	}
	namespace, ok := apirequest.NamespaceFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("namespace is required")
	}
	if errs := matchingMeta(&request.ObjectMeta, namespace, name); len(errs) > 0 {
		return nil, r.invalid(name, errs)
	}
	account, err := r.bound.Accounts.FromStore(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	request.Name, request.Namespace, request.CreationTimestamp = name, namespace, metav1.NewTime(time.Now())
	request.Status = authenticationv1.TokenRequestStatus{}
	if len(request.Spec.Audiences) == 0 {
		request.Spec.Audiences = []string{Issuer}
	}
	if errs := validation.ValidateTokenRequest(request); len(errs) > 0 {
		return nil, r.invalid("", errs)
	}
	if admit != nil {
		if err := admit(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	return request, r.issue(ctx, request, account)
}

func (r *tokenRequestREST) invalid(name string, errs field.ErrorList) error {
	return apierrors.NewInvalid(r.GroupVersionKind(schema.GroupVersion{}).GroupKind(), name, errs)
}

// matchingMeta checks the name and namespace of a request, if it has them, against those of its path.
func matchingMeta(meta *metav1.ObjectMeta, namespace, name string) field.ErrorList {
	var errs field.ErrorList
	if meta.Name != "" && meta.Name != name {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), meta.Name,
			"must match the service account name if specified"))
	}
	if meta.Namespace != "" && meta.Namespace != namespace {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "namespace"), meta.Namespace,
			"must match the service account namespace if specified"))
	}
	return errs
}

func (r *tokenRequestREST) issue(ctx context.Context, request *authenticationv1.TokenRequest,
	account *corev1.ServiceAccount) error {
	about := tokens.Account{Namespace: account.Namespace, ServiceAccount: tokens.Ref{Name: account.Name,
		UID: string(account.UID)}}
	if err := r.bind(ctx, &about, request.Spec.BoundObjectRef); err != nil {
		return err
	}
	lifetime := time.Duration(*request.Spec.ExpirationSeconds) * time.Second
	text, claims, err := r.authority.Issue(about, request.Spec.Audiences, lifetime)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	request.Status = authenticationv1.TokenRequestStatus{Token: text,
		ExpirationTimestamp: metav1.NewTime(claims.ExpiresAt.Time)}
	return nil
}

// bind binds a token to the object of ref, which may be nil.
func (r *tokenRequestREST) bind(ctx context.Context, about *tokens.Account,
	ref *authenticationv1.BoundObjectReference) error {
	if ref == nil {
		return nil
	}
	gvk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	var uid types.UID
	switch gvk.GroupKind() {
	case schema.GroupKind{Kind: "Pod"}:
		pod, err := r.bound.Pods.FromStore(ctx, about.Namespace, ref.Name)
		if err != nil {
			return err
		}
		if uid = pod.UID; pod.Spec.ServiceAccountName != about.ServiceAccount.Name {
			return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with "+
				"different serviceaccount name.", about.ServiceAccount.Name))
		}
		about.Pod = refTo(pod)
		about.Node, err = r.nodeOf(ctx, pod)
		if err != nil {
			return err
		}
	case schema.GroupKind{Kind: "Secret"}:
		secret, err := r.bound.Secrets.FromStore(ctx, about.Namespace, ref.Name)
		if err != nil {
			return err
		}
		uid, about.Secret = secret.UID, refTo(secret)
	case schema.GroupKind{Kind: "Node"}:
		node, err := r.bound.Nodes.FromStore(ctx, "", ref.Name)
		if err != nil {
			return err
		}
		uid, about.Node = node.UID, refTo(node)
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", gvk))
	}
	if ref.UID != "" && ref.UID != uid {
		return apierrors.NewConflict(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, ref.Name, fmt.Errorf(
			"the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted "+
				"and then recreated", ref.UID))
	}
	return nil
}

// nodeOf returns the Node of a Pod, or nil for a Pod without one. It has no UID if the Node does not exist.
func (r *tokenRequestREST) nodeOf(ctx context.Context, pod *corev1.Pod) (*tokens.Ref, error) {
	if pod.Spec.NodeName == "" {
		return nil, nil
	}
	node, err := r.bound.Nodes.FromStore(ctx, "", pod.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		return &tokens.Ref{Name: pod.Spec.NodeName}, nil
	}
	if err != nil {
		return nil, err
	}
	return refTo(node), nil
}

func refTo(obj metav1.Object) *tokens.Ref {
	return &tokens.Ref{Name: obj.GetName(), UID: string(obj.GetUID())}
}
