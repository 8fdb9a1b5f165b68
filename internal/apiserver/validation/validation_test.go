package validation

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// short are the names that the tests give to kinds of errors.
var short = map[field.ErrorType]string{
	field.ErrorTypeRequired:     "Required",
	field.ErrorTypeInvalid:      "Invalid",
	field.ErrorTypeNotSupported: "NotSupported",
	field.ErrorTypeDuplicate:    "Duplicate",
	field.ErrorTypeForbidden:    "Forbidden",
	field.ErrorTypeTooMany:      "TooMany",
	field.ErrorTypeTooLong:      "TooLong",
	field.ErrorTypeNotFound:     "NotFound",
}

// found renders errors as "Kind path", each once, sorted.
func found(errs field.ErrorList) []string {
	var out []string
	for _, err := range errs {
		out = append(out, short[err.Type]+" "+err.Field)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// expect compares errs with what want lists, one "Kind path" a line.
func expect(t *testing.T, errs field.ErrorList, want string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	if diff := cmp.Diff(lines, found(errs)); diff != "" {
		t.Errorf("(-want +got):\n%s\nin full: %v", diff, errs.ToAggregate())
	}
}

// rule is one row: what build (nil for nothing) does to a valid object, and the errors that it must give, one "Kind
// path" a line.
type rule[T any] struct {
	name  string
	build func(T)
	want  string
}

// rules runs each row on a fresh object: build, default, validate.
func rules[T runtime.Object](t *testing.T, fresh func() T, fill func(T), validate func(T) field.ErrorList,
	rows []rule[T]) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			obj := fresh()
			apply(row.build, obj)
			apply(fill, obj)
			expect(t, validate(obj), row.want)
		})
	}
}

// change is one row of an update: what was stored, and what is sent in its place.
type change[T any] struct {
	name     string
	old, now func(T)
	want     string
}

func changes[T runtime.Object](t *testing.T, fresh func() T, fill func(T), validate func(now, old T) field.ErrorList,
	rows []change[T]) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			old := fresh()
			apply(row.old, old)
			apply(fill, old)
			now := old.DeepCopyObject().(T)
			apply(row.now, now)
			apply(fill, now)
			expect(t, validate(now, old), row.want)
		})
	}
}

// apply calls f, if there is one.
func apply[T any](f func(T), obj T) {
	if f != nil {
		f(obj)
	}
}

func ptr[T any](v T) *T { return &v }
