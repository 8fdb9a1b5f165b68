// Package printers turns API objects into the rows that kubectl shows. Each resource has the columns of Kubernetes
// v1.36, with the same names, in the same order, and computed the same way. So people and scripts read what they are
// used to. The package reads the clock, for ages. It decides nothing: all that a row shows is in the object already.
package printers

import (
	"context"
	"fmt"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/registry/rest"
)

// The cells of empty values.
const (
	none    = "<none>"
	unknown = "<unknown>"
	unset   = "<unset>"
)

// Table converts objects of one type to the table that a client asks for. It implements rest.TableConvertor.
type Table[T runtime.Object] struct {
	Columns []metav1.TableColumnDefinition
	// Cells returns the values of one row, one for each column. Ages are relative to now.
	Cells func(obj T, now time.Time) []any
	// Conditions returns the conditions of a row, which kubectl reads from the table; nil if rows have none.
	Conditions func(obj T) []metav1.TableRowCondition
}

var _ rest.TableConvertor = Table[*v1.Pod]{}

// ConvertToTable converts an object or a list of objects. With the option NoHeaders, which a watch sends after the
// first event, the columns are left out. It returns an error for an object of another type.
func (t Table[T]) ConvertToTable(_ context.Context, object, options runtime.Object) (*metav1.Table, error) {
	out := &metav1.Table{}
	if o, ok := options.(*metav1.TableOptions); !ok || !o.NoHeaders {
		out.ColumnDefinitions = t.Columns
	}
	now := time.Now()
	add := func(obj runtime.Object) error {
		row, err := t.row(obj, now)
		out.Rows = append(out.Rows, row)
		return err
	}
	if !meta.IsListType(object) {
		if err := add(object); err != nil {
			return nil, err
		}
		m, err := meta.CommonAccessor(object)
		if err != nil {
			return nil, fmt.Errorf("reading the metadata of %T: %w", object, err)
		}
		out.ResourceVersion = m.GetResourceVersion()
		return out, nil
	}
	if err := meta.EachListItem(object, add); err != nil {
		return nil, err
	}
	return out, copyListMeta(out, object)
}

func (t Table[T]) row(obj runtime.Object, now time.Time) (metav1.TableRow, error) {
	typed, ok := obj.(T)
	if !ok {
		var want T
		return metav1.TableRow{}, fmt.Errorf("showing a %T in a table of %T", obj, want)
	}
	row := metav1.TableRow{Cells: t.Cells(typed, now), Object: runtime.RawExtension{Object: obj}}
	if t.Conditions != nil {
		row.Conditions = t.Conditions(typed)
	}
	return row, nil
}

// copyListMeta copies the version and the position of a list, from which a client starts to watch or reads the next
// page.
func copyListMeta(out *metav1.Table, list runtime.Object) error {
	m, err := meta.ListAccessor(list)
	if err != nil {
		return fmt.Errorf("reading the metadata of %T: %w", list, err)
	}
	out.ResourceVersion = m.GetResourceVersion()
	out.Continue = m.GetContinue()
	out.RemainingItemCount = m.GetRemainingItemCount()
	return nil
}

// Name is the first column of nearly every table.
func Name() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name",
		Description: "The name of the object, unique in its namespace."}
}

// Age is the column of the time since the object was created.
func Age() metav1.TableColumnDefinition {
	return Column("Age", "The time since the object was created.")
}

// Column is a text column.
func Column(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Description: description}
}

// Wide is a text column that kubectl shows only with -o wide.
func Wide(name, description string) metav1.TableColumnDefinition {
	c := Column(name, description)
	c.Priority = 1
	return c
}

// Since returns the time from t to now as kubectl shows ages: "5m", "3d"; "<unknown>" for the zero t.
func Since(t, now time.Time) string {
	if t.IsZero() {
		return unknown
	}
	return duration.HumanDuration(now.Sub(t))
}

// orElse returns s, or substitute if s is empty.
func orElse(s, substitute string) string {
	if s == "" {
		return substitute
	}
	return s
}

// shortList shows the first three of many.
type shortList struct {
	shown []string
	more  int
}

func (l *shortList) add(s string) {
	if len(l.shown) == 3 {
		l.more++
		return
	}
	l.shown = append(l.shown, s)
}

func (l *shortList) String() string {
	s := strings.Join(l.shown, ",")
	if l.more > 0 {
		s = fmt.Sprintf("%s + %d more...", s, l.more)
	}
	return s
}
