package drift

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const fieldsComment = `The fields of every type that the API server serves, and what Viaduct does with each.

Columns: field, Go type, decision, and what the library declares of the field. "fills" is what Viaduct's defaulting puts
into a field that is left out; "documented default" is what the library's documentation says.
Decisions:
  honoured  some part of Viaduct acts on the field, or writes it
  checked   validation or defaulting looks at the field; otherwise it is stored unchanged and has no effect
  library   a Kubernetes library that Viaduct calls handles the field
  shown     kubectl's columns show the field; otherwise it has no effect
  stored    the field is stored unchanged and has no effect
  refused   an object that sets the field is refused
  warned    an object that sets the field is accepted with a warning that the field has no effect
Written by go test ./internal/apiserver/drift -update, apart from the decisions.
`

var fieldDecisions = []string{"honoured", "checked", "library", "shown", "stored", "refused", "warned"}

// shortPackage is the name of an API package in the records, such as core.v1.
func shortPackage(path string) string {
	parts := strings.Split(path, "/")
	return strings.Join(parts[len(parts)-2:], ".")
}

// sourceOf returns the folder of an API package.
func sourceOf(t *testing.T, path string) string {
	t.Helper()
	if rest, ok := strings.CutPrefix(path, "k8s.io/api/"); ok {
		return filepath.Join(apiDir(t), rest)
	}
	rest, _ := strings.CutPrefix(path, "k8s.io/apimachinery/")
	return filepath.Join(moduleDir(t, "k8s.io/apimachinery"), rest)
}

// jsonName is the name of a field in the API, or its Go name in parentheses if it is embedded.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return cmp.Or(name, "("+f.Name+")")
}

// fieldEntries describes the fields of struct types. fills is by Type.GoField.
func fieldEntries(types []reflect.Type, source packageSource, fills map[string]string) []entry {
	var all []entry
	for _, typ := range types {
		for i := range typ.NumField() {
			f := typ.Field(i)
			key := typ.Name() + "." + f.Name
			if f.Name == "TypeMeta" {
				continue
			}
			said := source.fields[key]
			notes := slices.Clone(said.markers)
			if d := said.documentedDefault(); d != "" {
				notes = append(notes, fmt.Sprintf("documented default: %s", d))
			}
			if filled, ok := fills[typ.String()+"."+f.Name]; ok {
				notes = append(notes, "fills "+filled)
			}
			all = append(all, entry{group: typ.Name(), name: jsonName(f), facts: f.Type.String(),
				notes: strings.Join(notes, "; ")})
		}
	}
	return all
}

// fillsOf returns what the defaulting of the served kinds puts into each field that is left out, by type and Go field.
func fillsOf(t *testing.T) map[string]string {
	t.Helper()
	fills := map[string]string{}
	for _, kind := range servedKinds() {
		if kind.fill == nil {
			continue
		}
		typ, sample := reflect.TypeOf(kind.empty).Elem(), kind.sample(t)
		for _, at := range places(typ) {
			owner, f := at.fieldAt(typ)
			key := owner.String() + "." + f.Name
			if _, known := fills[key]; known || f.Type.Kind() == reflect.Struct && !isLeaf(f.Type) {
				continue
			}
			obj := sample.DeepCopyObject()
			v, ok := at.in(obj)
			if !ok {
				continue
			}
			v.SetZero()
			kind.fill(obj)
			if v, ok = at.in(obj); ok && !v.IsZero() {
				fills[key] = asJSON(v.Interface())
			}
		}
	}
	return fills
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// servedStructs returns the struct types of all served kinds by package, sorted by name.
func servedStructs() map[string][]reflect.Type {
	var roots []reflect.Type
	for _, kind := range servedKinds() {
		roots = append(roots, reflect.TypeOf(kind.empty))
	}
	byPackage := map[string][]reflect.Type{}
	for _, typ := range structs(roots) {
		byPackage[typ.PkgPath()] = append(byPackage[typ.PkgPath()], typ)
	}
	for _, types := range byPackage {
		slices.SortFunc(types, func(a, b reflect.Type) int { return cmp.Compare(a.Name(), b.Name()) })
	}
	return byPackage
}

func TestFields(t *testing.T) {
	fills := fillsOf(t)
	for path, types := range servedStructs() {
		t.Run(shortPackage(path), func(t *testing.T) {
			have := fieldEntries(types, readSource(t, sourceOf(t, path)), fills)
			compareRecord(t, "fields-"+shortPackage(path)+".txt", fieldsComment, have, fieldDecisions)
		})
	}
}
