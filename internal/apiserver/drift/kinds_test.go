package drift

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"viaduct/internal/apiserver/validation"
)

// servedKind is one kind of object that the API server serves, with its defaulting and its validation.
type servedKind struct {
	gvk      schema.GroupVersionKind
	empty    runtime.Object
	fill     func(runtime.Object)                 // nil: the kind has no defaults
	validate func(runtime.Object) field.ErrorList // nil: the kind has no validation function of its own
}

// kindOf is a servedKind from functions of package validation; fill and validate may be nil.
func kindOf[T any, P interface {
	*T
	runtime.Object
}](gv schema.GroupVersion, fill func(P), validate func(P) field.ErrorList) servedKind {
	k := servedKind{gvk: gv.WithKind(reflect.TypeFor[T]().Name()), empty: P(new(T))}
	if fill != nil {
		k.fill = func(obj runtime.Object) { fill(obj.(P)) }
	}
	if validate != nil {
		k.validate = func(obj runtime.Object) field.ErrorList { return validate(obj.(P)) }
	}
	return k
}

// servedKinds lists every kind that the API server serves. TestServedKinds compares the list with a running server.
func servedKinds() []servedKind {
	core, rbac, networking := corev1.SchemeGroupVersion, rbacv1.SchemeGroupVersion, networkingv1.SchemeGroupVersion
	authentication, authorization := authenticationv1.SchemeGroupVersion, authorizationv1.SchemeGroupVersion
	return []servedKind{
		kindOf(core, nil, validation.ValidatePodBinding),
		kindOf(core, nil, validation.ValidateConfigMap),
		kindOf(core, validation.DefaultEndpoints, func(o *corev1.Endpoints) field.ErrorList {
			return validation.ValidateEndpoints(o, validation.Options{})
		}),
		kindOf(core, validation.DefaultEvent, validation.ValidateEvent),
		kindOf(core, validation.DefaultNamespace, validation.ValidateNamespace),
		kindOf(core, validation.DefaultNode, validation.ValidateNode),
		kindOf(core, validation.DefaultPod, validation.ValidatePod),
		kindOf(core, validation.DefaultSecret, validation.ValidateSecret),
		kindOf(core, validation.DefaultService, validation.ValidateService),
		kindOf(core, nil, validation.ValidateServiceAccount),
		kindOf(discoveryv1.SchemeGroupVersion, validation.DefaultEndpointSlice,
			func(o *discoveryv1.EndpointSlice) field.ErrorList {
				return validation.ValidateEndpointSlice(o, validation.Options{})
			}),
		kindOf(coordinationv1.SchemeGroupVersion, nil, validation.ValidateLease),
		kindOf(networking, nil, validation.ValidateIPAddress),
		kindOf(networking, nil, validation.ValidateServiceCIDR),
		kindOf(rbac, nil, validation.ValidateClusterRole),
		kindOf(rbac, validation.DefaultClusterRoleBinding, validation.ValidateClusterRoleBinding),
		kindOf(rbac, nil, validation.ValidateRole),
		kindOf(rbac, validation.DefaultRoleBinding, validation.ValidateRoleBinding),
		kindOf[authenticationv1.SelfSubjectReview](authentication, nil, nil),
		kindOf(authentication, validation.DefaultTokenRequest, validation.ValidateTokenRequest),
		kindOf[authenticationv1.TokenReview](authentication, nil, nil),
		kindOf(authorization, nil, validation.ValidateLocalSubjectAccessReview),
		kindOf(authorization, nil, validation.ValidateSelfSubjectAccessReview),
		kindOf[authorizationv1.SelfSubjectRulesReview](authorization, nil, nil),
		kindOf(authorization, nil, validation.ValidateSubjectAccessReview),
	}
}

// moduleDir returns the folder with the source of a module of go.mod.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("finding the source of %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}

// apiDir is the folder of k8s.io/api. The module cache does not change while the tests run.
func apiDir(t *testing.T) string {
	t.Helper()
	apiOnce.Do(func() { apiFolder = moduleDir(t, "k8s.io/api") })
	if apiFolder == "" {
		t.Fatal("the source of k8s.io/api was not found")
	}
	return apiFolder
}

var (
	apiOnce   sync.Once
	apiFolder string
)

// sample returns an object of kind k in which the API library has set every field. Its texts are placeholders, so the
// object is complete but not valid.
func (k servedKind) sample(t *testing.T) runtime.Object {
	t.Helper()
	group := k.gvk.Group
	if group == "" {
		group = "core"
	}
	text, err := os.ReadFile(filepath.Join(apiDir(t), "testdata", "HEAD", group+".v1."+k.gvk.Kind+".json"))
	if err != nil {
		t.Fatal(err)
	}
	obj := k.empty.DeepCopyObject()
	if err := json.Unmarshal(text, obj); err != nil {
		t.Fatal(err)
	}
	if svc, ok := obj.(*corev1.Service); ok {
		svc.Spec.Type = corev1.ServiceTypeLoadBalancer // the type that uses the most fields
	}
	return obj
}
