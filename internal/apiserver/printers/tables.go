// Package printers turns API objects into the rows that kubectl shows: for each resource the columns of Kubernetes
// v1.36 with the same names, in the same order, computed the same way, so that people and scripts read what they are
// used to. It reads the clock, for ages; it must not decide anything: what a row says is in the object already.
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

// What a cell shows when there is nothing to show.
const (
	none    = "<none>"
	unknown = "<unknown>"
	unset   = "<unset>"
)

// For returns the table of a resource, named in the plural. A resource that has no table of its own is shown by name
// and time of creation.
func For(resource string) rest.TableConvertor {
	switch resource {
	case "namespaces":
		return namespaces()
	case "nodes":
		return nodes()
	case "pods":
		return pods()
	case "services":
		return services()
	case "endpoints":
		return endpoints()
	case "endpointslices":
		return endpointSlices()
	case "configmaps":
		return configMaps()
	case "secrets":
		return secrets()
	case "serviceaccounts":
		return serviceAccounts()
	case "events":
		return events()
	case "leases":
		return leases()
	case "ipaddresses":
		return ipAddresses()
	case "servicecidrs":
		return serviceCIDRs()
	case "rolebindings":
		return roleBindings()
	case "clusterrolebindings":
		return clusterRoleBindings()
	}
	return rest.NewDefaultTableConvertor(v1.Resource(resource))
}

// table shows objects of one type.
type table[T runtime.Object] struct {
	columns []metav1.TableColumnDefinition
	// cells gives the values of one row, as many as there are columns. Ages are reckoned from now.
	cells func(obj T, now time.Time) []any
	// conditions says what of a row a client may want to know without reading it; nil for nothing.
	conditions func(obj T) []metav1.TableRowCondition
}

// ConvertToTable shows an object or a list of objects. With the option NoHeaders, which a watch sends after the first
// event, the columns are left out. It fails for an object of another type.
func (t table[T]) ConvertToTable(_ context.Context, object, options runtime.Object) (*metav1.Table, error) {
	out := &metav1.Table{}
	if o, ok := options.(*metav1.TableOptions); !ok || !o.NoHeaders {
		out.ColumnDefinitions = t.columns
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

func (t table[T]) row(obj runtime.Object, now time.Time) (metav1.TableRow, error) {
	typed, ok := obj.(T)
	if !ok {
		var want T
		return metav1.TableRow{}, fmt.Errorf("showing a %T in a table of %T", obj, want)
	}
	row := metav1.TableRow{Cells: t.cells(typed, now), Object: runtime.RawExtension{Object: obj}}
	if t.conditions != nil {
		row.Conditions = t.conditions(typed)
	}
	return row, nil
}

// copyListMeta tells a client that reads in pages, or goes on to watch, from where to go on.
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

// name is the first column of nearly every table.
func name() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name",
		Description: "The name of the object, unique in its namespace."}
}

// age is the column that says how long ago the object was created.
func age() metav1.TableColumnDefinition {
	return column("Age", "The time since the object was created.")
}

func column(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Description: description}
}

// wide is a column that is shown only when asked for, with -o wide.
func wide(name, description string) metav1.TableColumnDefinition {
	c := column(name, description)
	c.Priority = 1
	return c
}

// since says how long ago t was, in few letters.
func since(t, now time.Time) string {
	if t.IsZero() {
		return unknown
	}
	return duration.HumanDuration(now.Sub(t))
}

// orElse returns s, or what stands for it when it is empty.
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
