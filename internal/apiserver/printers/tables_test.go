package printers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// now is when every row of these tests is made.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func created(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: "default", CreationTimestamp: ago(5 * time.Minute)}
}

// row renders the cells of obj in one line.
func row[T runtime.Object](t *testing.T, tab Table[T], obj T) string {
	t.Helper()
	cells := tab.Cells(obj, now)
	if len(cells) != len(tab.Columns) {
		t.Fatalf("%d cells for %d columns", len(cells), len(tab.Columns))
	}
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = fmt.Sprint(cell)
	}
	return strings.Join(texts, " | ")
}

// header renders column names in one line; wide ones are in brackets.
func header(columns []metav1.TableColumnDefinition) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
		if c.Priority > 0 {
			names[i] = "[" + c.Name + "]"
		}
	}
	return strings.Join(names, " | ")
}

// byResource has the tables of this package.
func byResource(t *testing.T, resource string) rest.TableConvertor {
	t.Helper()
	tables := map[string]rest.TableConvertor{
		"namespaces":          Namespaces(),
		"nodes":               Nodes(),
		"pods":                Pods(),
		"services":            Services(),
		"endpoints":           Endpoints(),
		"endpointslices":      EndpointSlices(),
		"configmaps":          ConfigMaps(),
		"secrets":             Secrets(),
		"serviceaccounts":     ServiceAccounts(),
		"events":              Events(),
		"leases":              Leases(),
		"ipaddresses":         IPAddresses(),
		"servicecidrs":        ServiceCIDRs(),
		"rolebindings":        RoleBindings(),
		"clusterrolebindings": ClusterRoleBindings(),
	}
	table, ok := tables[resource]
	if !ok {
		t.Fatalf("no table of %s", resource)
	}
	return table
}

func convert(t *testing.T, resource string, obj, options runtime.Object) *metav1.Table {
	t.Helper()
	got, err := byResource(t, resource).ConvertToTable(t.Context(), obj, options)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestColumnsAreUpstreams(t *testing.T) {
	tests := []struct {
		resource string
		obj      runtime.Object
		want     string
	}{
		{"namespaces", &v1.NamespaceList{}, "Name | Status | Age"},
		{"nodes", &v1.NodeList{}, "Name | Status | Roles | Age | Version | [Internal-IP] | [External-IP] | [OS-Image] | " +
			"[Kernel-Version] | [Container-Runtime]"},
		{"pods", &v1.PodList{}, "Name | Ready | Status | Restarts | Age | [IP] | [Node] | [Nominated Node] | [Readiness " +
			"Gates]"},
		{"services", &v1.ServiceList{}, "Name | Type | Cluster-IP | External-IP | Port(s) | Age | [Selector]"},
		{"endpoints", &v1.EndpointsList{}, "Name | Endpoints | Age"},
		{"endpointslices", &v1.EndpointsList{}, "Name | AddressType | Ports | Endpoints | Age"},
		{"configmaps", &v1.ConfigMapList{}, "Name | Data | Age"},
		{"secrets", &v1.SecretList{}, "Name | Type | Data | Age"},
		{"serviceaccounts", &v1.ServiceAccountList{}, "Name | Secrets | Age"},
		{"events", &v1.EventList{}, "Last Seen | Type | Reason | Object | [Subobject] | [Source] | Message | [First Seen] " +
			"| [Count] | [Name]"},
		{"leases", &v1.EventList{}, "Name | Holder | Age"},
	}
	for _, tt := range tests {
		t.Run(tt.resource, func(t *testing.T) {
			table := convert(t, tt.resource, tt.obj, nil)
			if got := header(table.ColumnDefinitions); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			for _, c := range table.ColumnDefinitions {
				if (c.Format == "name") != (c.Name == "Name") {
					t.Errorf("column %s has format %q", c.Name, c.Format)
				}
			}
		})
	}
}

func TestListBecomesRows(t *testing.T) {
	remaining := int64(7)
	list := &v1.ConfigMapList{
		ListMeta: metav1.ListMeta{ResourceVersion: "42", Continue: "more", RemainingItemCount: &remaining},
		Items:    []v1.ConfigMap{{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, {ObjectMeta: metav1.ObjectMeta{Name: "b"}}},
	}
	got := convert(t, "configmaps", list, &metav1.TableOptions{})
	if len(got.ColumnDefinitions) != 3 || len(got.Rows) != 2 {
		t.Fatalf("%d columns and %d rows, want 3 and 2", len(got.ColumnDefinitions), len(got.Rows))
	}
	if diff := cmp.Diff(list.ListMeta, got.ListMeta); diff != "" {
		t.Error("list metadata (-want +got):\n", diff)
	}
	for i := range list.Items {
		if got.Rows[i].Object.Object != runtime.Object(&list.Items[i]) {
			t.Errorf("the object of row %d is not the object of the list", i)
		}
		if diff := cmp.Diff([]any{list.Items[i].Name, int64(0), "<unknown>"}, got.Rows[i].Cells); diff != "" {
			t.Errorf("row %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestOneObjectBecomesOneRow(t *testing.T) {
	ns := &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", ResourceVersion: "9"}}
	got := convert(t, "namespaces", ns, &metav1.TableOptions{NoHeaders: true})
	if len(got.ColumnDefinitions) != 0 {
		t.Error("columns were sent in spite of NoHeaders")
	}
	if len(got.Rows) != 1 || got.Rows[0].Object.Object != runtime.Object(ns) {
		t.Errorf("rows: %v, want one with the object itself", got.Rows)
	}
	if got.ResourceVersion != "9" {
		t.Errorf("resource version %q, want that of the object", got.ResourceVersion)
	}
}

func TestWrongTypeIsAnError(t *testing.T) {
	for _, obj := range []runtime.Object{&v1.Service{}, &v1.ServiceList{Items: make([]v1.Service, 1)}} {
		if _, err := Pods().ConvertToTable(t.Context(), obj, nil); err == nil {
			t.Errorf("%T was shown in the table of Pods", obj)
		}
	}
}
