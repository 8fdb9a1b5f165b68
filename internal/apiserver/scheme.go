package apiserver

import (
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"viaduct/internal/apiserver/validation"
)

// servedGroups lists the API groups of this server, each with its one version.
func servedGroups() []schema.GroupVersion {
	return []schema.GroupVersion{
		corev1.SchemeGroupVersion, discoveryv1.SchemeGroupVersion, coordinationv1.SchemeGroupVersion,
		networkingv1.SchemeGroupVersion,
		rbacv1.SchemeGroupVersion, authenticationv1.SchemeGroupVersion, authorizationv1.SchemeGroupVersion,
	}
}

// schemes are the two views of the served types. The request handlers insist on a hub version named __internal, so
// types knows every type under both names; documented knows only the public ones, for OpenAPI would otherwise advertise
// __internal to clients.
type schemes struct {
	types, documented *runtime.Scheme
	codecs            serializer.CodecFactory
	parameters        runtime.ParameterCodec
}

func newSchemes() *schemes {
	s := &schemes{types: publicScheme(), documented: publicScheme()}
	for _, gv := range servedGroups() {
		registerHub(s.types, gv)
	}
	registerDefaults(s.types)
	utilruntime.Must(addProxyOptions(s.types))
	s.codecs = serializer.NewCodecFactory(s.types)
	s.parameters = runtime.NewParameterCodec(s.types)
	return s
}

func publicScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, discoveryv1.AddToScheme, coordinationv1.AddToScheme, networkingv1.AddToScheme,
		rbacv1.AddToScheme, authenticationv1.AddToScheme, authorizationv1.AddToScheme,
	} {
		utilruntime.Must(add(s))
	}
	for _, gv := range servedGroups() {
		utilruntime.Must(s.SetVersionPriority(gv))
	}
	v1 := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(s, v1)
	s.AddUnversionedTypes(v1, &metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroup{}, &metav1.APIGroupList{},
		&metav1.APIResourceList{})
	return s
}

// registerHub registers the Go types of gv a second time as the hub version. With one Go type in both, a conversion
// only rewrites the kind and version: no copy, no conversion code.
func registerHub(s *runtime.Scheme, gv schema.GroupVersion) {
	hub := schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal}
	for kind, t := range s.KnownTypes(gv) {
		if strings.HasPrefix(t.PkgPath(), "k8s.io/apimachinery/") {
			continue // ListOptions, WatchEvent and their like are not stored
		}
		obj, err := s.New(gv.WithKind(kind))
		utilruntime.Must(err)
		s.AddKnownTypeWithName(hub.WithKind(kind), obj)
	}
}

func registerDefaults(s *runtime.Scheme) {
	addDefaults(s, validation.DefaultService)
	addDefaults(s, validation.DefaultEndpoints)
	addDefaults(s, validation.DefaultEndpointSlice)
	addDefaults(s, validation.DefaultPod)
	addDefaults(s, validation.DefaultNamespace)
	addDefaults(s, validation.DefaultNode)
	addDefaults(s, validation.DefaultSecret)
	addDefaults(s, validation.DefaultEvent)
	addDefaults(s, validation.DefaultTokenRequest)
	addDefaults(s, validation.DefaultRoleBinding)
	addDefaults(s, validation.DefaultClusterRoleBinding)
}

func addDefaults[T any, P interface {
	*T
	runtime.Object
}](s *runtime.Scheme, fill func(P)) {
	s.AddTypeDefaultingFunc(P(new(T)), func(obj any) { fill(obj.(P)) })
}
