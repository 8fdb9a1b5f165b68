package drift

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// isLeaf reports whether the walk stops at a type, since the type encodes itself.
func isLeaf(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime](), reflect.TypeFor[metav1.FieldsV1](),
		reflect.TypeFor[resource.Quantity](), reflect.TypeFor[intstr.IntOrString](), reflect.TypeFor[metav1.TypeMeta]():
		return true
	}
	return !strings.HasPrefix(t.PkgPath(), "k8s.io/")
}

// elem strips pointers, lists and maps from a type.
func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t
}

// structs returns every struct type that roots are made of, each once.
func structs(roots []reflect.Type) []reflect.Type {
	seen := map[reflect.Type]bool{}
	var all []reflect.Type
	var visit func(reflect.Type)
	visit = func(t reflect.Type) {
		t = elem(t)
		if t.Kind() != reflect.Struct || seen[t] || isLeaf(t) {
			return
		}
		seen[t] = true
		all = append(all, t)
		for i := range t.NumField() {
			visit(t.Field(i).Type)
		}
	}
	for _, root := range roots {
		visit(root)
	}
	return all
}

// A place is where one field stands in an object: the indexes of the fields that lead there. Lists are entered at their
// first entry.
type place []int

// places lists where every field of an object of type t stands, outer fields first. Maps are not entered.
func places(t reflect.Type) []place {
	var all []place
	var visit func(reflect.Type, place, []reflect.Type)
	visit = func(t reflect.Type, at place, within []reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		for _, outer := range within {
			if outer == t {
				return // a type within itself
			}
		}
		if t.Kind() != reflect.Struct || isLeaf(t) {
			return
		}
		for i := range t.NumField() {
			next := append(at[:len(at):len(at)], i)
			all = append(all, next)
			visit(t.Field(i).Type, next, append(within[:len(within):len(within)], t))
		}
	}
	visit(t, nil, nil)
	return all
}

// fieldAt returns the struct type and the field at a place in type t.
func (p place) fieldAt(t reflect.Type) (reflect.Type, reflect.StructField) {
	var f reflect.StructField
	for _, i := range p {
		for f.Type != nil && (f.Type.Kind() == reflect.Pointer || f.Type.Kind() == reflect.Slice) {
			f.Type = f.Type.Elem()
		}
		if f.Type != nil {
			t = f.Type
		}
		f = t.Field(i)
	}
	return t, f
}

// unions are the structs of which only one pointer may be set.
var unions = map[reflect.Type]bool{
	reflect.TypeFor[corev1.VolumeSource](): true, reflect.TypeFor[corev1.EnvVarSource](): true,
	reflect.TypeFor[corev1.ProbeHandler](): true, reflect.TypeFor[corev1.LifecycleHandler](): true,
	reflect.TypeFor[corev1.VolumeProjection](): true, reflect.TypeFor[corev1.EnvFromSource](): true,
}

// in returns the field at a place in obj, a pointer to a complete struct; ok is false if an outer field is not set. In
// unions on the way it clears the other members.
func (p place) in(obj any) (v reflect.Value, ok bool) {
	v = reflect.ValueOf(obj)
	for _, i := range p {
		if v, ok = enter(v); !ok {
			return v, false
		}
		if unions[v.Type()] {
			for other := range v.NumField() {
				if other != i && v.Field(other).Kind() == reflect.Pointer {
					v.Field(other).SetZero()
				}
			}
		}
		v = v.Field(i)
	}
	return v, true
}

// enter follows pointers and first entries to a struct.
func enter(v reflect.Value) (reflect.Value, bool) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice {
		if v.Kind() == reflect.Slice {
			if v.Len() == 0 {
				return v, false
			}
			v = v.Index(0)
			continue
		}
		if v.IsNil() {
			return v, false
		}
		v = v.Elem()
	}
	return v, true
}
