package drift

import (
	"cmp"
	"reflect"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const enumsComment = `The values that the library defines for each named string type of the served kinds.

The second column says whether Viaduct's validation accepts the value. The test computes the answers; a person decides only that they are right.

accepted  validation accepts the value
refused   validation answers NotSupported
open      validation accepts any text, so the library's values are examples
Written by go test ./internal/apiserver/drift -update.
`

// occurrence is a field of a served kind that holds a value of a named string type.
type occurrence struct {
	kind   servedKind
	sample runtime.Object
	at     place
}

// occurrences lists the fields of each named string type of the API packages.
func occurrences(t *testing.T) map[reflect.Type][]occurrence {
	t.Helper()
	all := map[reflect.Type][]occurrence{}
	for _, kind := range servedKinds() {
		if kind.validate == nil {
			continue
		}
		typ, sample := reflect.TypeOf(kind.empty).Elem(), kind.sample(t)
		for _, at := range places(typ) {
			_, f := at.fieldAt(typ)
			if e := elem(f.Type); e.Kind() == reflect.String && !isLeaf(e) && f.Type.Kind() != reflect.Map {
				all[e] = append(all[e], occurrence{kind, sample, at})
			}
		}
	}
	return all
}

// refuses reports whether validation says that value is not supported in the field.
func (o occurrence) refuses(value string) bool {
	obj := o.sample.DeepCopyObject()
	v, ok := o.at.in(obj)
	if !ok {
		return false
	}
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice {
		if v.Kind() == reflect.Slice {
			v = v.Index(0)
		} else {
			v = v.Elem()
		}
	}
	v.SetString(value)
	return slices.ContainsFunc(o.kind.validate(obj), func(err *field.Error) bool {
		bad := reflect.Indirect(reflect.ValueOf(err.BadValue))
		return err.Type == field.ErrorTypeNotSupported && bad.Kind() == reflect.String && bad.String() == value
	})
}

// judge says what validation makes of one value of a type. The first field whose validation refuses an unknown value
// decides.
func judge(fields []occurrence, value string) string {
	for _, o := range fields {
		if o.refuses("no-such-value") {
			if o.refuses(value) {
				return "refused"
			}
			return "accepted"
		}
	}
	return "open"
}

func TestEnums(t *testing.T) {
	sources := map[string]packageSource{}
	var have []entry
	for typ, fields := range occurrences(t) {
		path := typ.PkgPath()
		if shortPackage(path) == "apimachinery.types" || shortPackage(path) == "pkg.types" {
			continue // names and UIDs
		}
		if _, read := sources[path]; !read {
			sources[path] = readSource(t, sourceOf(t, path))
		}
		for _, value := range sources[path].values[typ.Name()] {
			have = append(have, entry{group: shortPackage(path) + "." + typ.Name(), name: cmp.Or(value, `""`),
				facts: judge(fields, value)})
		}
	}
	slices.SortFunc(have, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.group, b.group),
			cmp.Compare(a.name, b.name))
	})
	compareRecord(t, "enums.txt", enumsComment, have, nil)
}
