package apiserver

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
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/tokens"
	"viaduct/internal/apiserver/validation"
)

// tokenRequestREST serves serviceaccounts/token: `kubectl create token`. Nothing is stored.
type tokenRequestREST struct {
	stores    *accountStores
	authority *tokens.Authority
}

var (
	_ rest.NamedCreater             = &tokenRequestREST{}
	_ rest.GroupVersionKindProvider = &tokenRequestREST{}
)

func (r *tokenRequestREST) New() runtime.Object { return &authenticationv1.TokenRequest{} }
func (r *tokenRequestREST) Destroy()            {}

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
	account, err := resource.Storage[*corev1.ServiceAccount]{Main: r.stores.accounts}.FromStore(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	request.Name, request.Namespace, request.CreationTimestamp = name, namespace, metav1.NewTime(time.Now())
	request.Status = authenticationv1.TokenRequestStatus{}
	if len(request.Spec.Audiences) == 0 {
		request.Spec.Audiences = []string{issuer}
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

// matchingMeta checks that a request names, if it names anything, the account that its path names.
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

// bind makes a token depend on the object of ref, nil for none.
func (r *tokenRequestREST) bind(ctx context.Context, about *tokens.Account,
	ref *authenticationv1.BoundObjectReference) error {
	if ref == nil {
		return nil
	}
	gvk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	var uid types.UID
	switch gvk.GroupKind() {
	case schema.GroupKind{Kind: "Pod"}:
		pod, err := resource.Storage[*corev1.Pod]{Main: r.stores.pods}.FromStore(ctx, about.Namespace, ref.Name)
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
		secret, err := resource.Storage[*corev1.Secret]{Main: r.stores.secrets}.FromStore(ctx, about.Namespace, ref.Name)
		if err != nil {
			return err
		}
		uid, about.Secret = secret.UID, refTo(secret)
	case schema.GroupKind{Kind: "Node"}:
		node, err := resource.Storage[*corev1.Node]{Main: r.stores.nodes}.FromStore(ctx, "", ref.Name)
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

// nodeOf is where a Pod runs; nil if nowhere yet. A Node that does not exist has a name all the same.
func (r *tokenRequestREST) nodeOf(ctx context.Context, pod *corev1.Pod) (*tokens.Ref, error) {
	if pod.Spec.NodeName == "" {
		return nil, nil
	}
	node, err := resource.Storage[*corev1.Node]{Main: r.stores.nodes}.FromStore(ctx, "", pod.Spec.NodeName)
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
