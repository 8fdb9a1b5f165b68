package resource

import (
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// Schemes are two views of the served types. The request handlers require a hub version named __internal, so Types has
// every type under both names. Documented has only the public ones: OpenAPI would advertise __internal to clients.
type Schemes struct {
	Types, Documented *runtime.Scheme
	Codecs            serializer.CodecFactory
	Parameters        runtime.ParameterCodec
}

func newSchemes() *Schemes {
	s := &Schemes{Types: newScheme(), Documented: newScheme()}
	s.Codecs = serializer.NewCodecFactory(s.Types)
	s.Parameters = runtime.NewParameterCodec(s.Types)
	return s
}

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	v1 := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(s, v1)
	s.AddUnversionedTypes(v1, &metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroup{}, &metav1.APIGroupList{},
		&metav1.APIResourceList{})
	return s
}

func (s *Schemes) add(g Group) error {
	if err := errors.Join(g.AddToScheme(s.Types), g.AddToScheme(s.Documented)); err != nil {
		return fmt.Errorf("registering the types of %s: %w", g.Version, err)
	}
	if err := errors.Join(s.Types.SetVersionPriority(g.Version),
		s.Documented.SetVersionPriority(g.Version)); err != nil {
		return err
	}
	return addHub(s.Types, g.Version)
}

// addHub registers the Go types of gv a second time, as the hub version. With one Go type in both, a conversion only
// rewrites the kind and version: no copy, no conversion code.
func addHub(s *runtime.Scheme, gv schema.GroupVersion) error {
	hub := schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal}
	for kind, t := range s.KnownTypes(gv) {
		if strings.HasPrefix(t.PkgPath(), "k8s.io/apimachinery/") {
			continue // ListOptions, WatchEvent and the like are not stored
		}
		obj, err := s.New(gv.WithKind(kind))
		if err != nil {
			return err
		}
		s.AddKnownTypeWithName(hub.WithKind(kind), obj)
	}
	return nil
}

// AddDefaults registers fill for all objects of the type of example, when they are decoded.
func AddDefaults[T runtime.Object](b *Builder, example T, fill func(T)) {
	b.schemes.Types.AddTypeDefaultingFunc(example, func(obj any) { fill(obj.(T)) })
}
