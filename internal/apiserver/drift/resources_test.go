package drift

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver/apitest"
)

const resourcesComment = `The resources and subresources that client-go can ask for in the API groups that Viaduct serves.

The second column says whether Viaduct serves them. The test asks a running server; a person decides only that the answer is right.
Written by go test ./internal/apiserver/drift -update.
`

// subresources is the subresource that each method of a typed client uses, beside the methods that every resource has.
// An empty subresource means that the method is made of others.
var subresources = map[string]string{
	"ApplyStatus": "status", "UpdateStatus": "status", "PatchStatus": "status",
	"Finalize": "finalize", "Bind": "binding", "GetLogs": "log", "CreateToken": "token", "ProxyGet": "proxy",
	"Evict": "eviction", "EvictV1": "eviction", "EvictV1beta1": "eviction",
	"UpdateEphemeralContainers": "ephemeralcontainers",
	"UpdateResize":              "resize", "GetScale": "scale", "UpdateScale": "scale", "ApplyScale": "scale",
	"CreateWithEventNamespace": "", "UpdateWithEventNamespace": "", "PatchWithEventNamespace": "",
	"CreateWithEventNamespaceWithContext": "", "UpdateWithEventNamespaceWithContext": "",
	"PatchWithEventNamespaceWithContext": "", "GetFieldSelector": "", "Search": "", "SearchWithContext": "",
}

// usualMethods are those of every resource.
var usualMethods = []string{"Apply", "Create", "Delete", "DeleteCollection", "Get", "List", "Patch", "Update", "Watch"}

// clientResources lists what the typed client of one API group can ask for, such as pods and pods/resize. unknown are
// its methods that subresources does not name.
func clientResources(group reflect.Type) (resources, unknown []string) {
	for i := range group.NumMethod() {
		getter := group.Method(i)
		if getter.Name == "RESTClient" {
			continue
		}
		resource, client := strings.ToLower(getter.Name), getter.Type.Out(0)
		resources = append(resources, resource)
		for m := range client.NumMethod() {
			name := client.Method(m).Name
			sub, known := subresources[name]
			switch {
			case slices.Contains(usualMethods, name):
			case !known:
				unknown = append(unknown, resource+": "+name)
			case sub != "":
				resources = append(resources, resource+"/"+sub)
			}
		}
	}
	slices.Sort(resources)
	return slices.Compact(resources), unknown
}

// groupClients are the typed clients of the served API groups.
func groupClients() map[schema.GroupVersion]reflect.Type {
	methods := map[schema.GroupVersion]string{}
	for _, kind := range servedKinds() {
		gv := kind.gvk.GroupVersion()
		name, _, _ := strings.Cut(cmp.Or(gv.Group, "core"), ".")
		methods[gv] = name + gv.Version
	}
	client := reflect.TypeFor[kubernetes.Interface]()
	found := map[schema.GroupVersion]reflect.Type{}
	for gv, name := range methods {
		for i := range client.NumMethod() {
			if strings.EqualFold(client.Method(i).Name, name) {
				found[gv] = client.Method(i).Type.Out(0)
			}
		}
	}
	return found
}

// served asks a running server what it serves.
func served(t *testing.T) map[schema.GroupVersion]*metav1.APIResourceList {
	t.Helper()
	discovery := apitest.Start(t).Client(t).Discovery()
	all := map[schema.GroupVersion]*metav1.APIResourceList{}
	for gv := range groupClients() {
		list, err := discovery.ServerResourcesForGroupVersion(gv.String())
		if err != nil {
			t.Fatal(err)
		}
		all[gv] = list
	}
	return all
}

func TestResources(t *testing.T) {
	lists := served(t)
	var have []entry
	for _, gv := range slices.SortedFunc(maps.Keys(lists), func(a, b schema.GroupVersion) int {
		return cmp.Compare(a.String(), b.String())
	}) {
		resources, unknown := clientResources(groupClients()[gv])
		for _, method := range unknown {
			t.Errorf("%s %s: the map subresources does not say what this method asks for", gv, method)
		}
		for _, resource := range resources {
			answer := "absent"
			if slices.ContainsFunc(lists[gv].APIResources, func(r metav1.APIResource) bool { return r.Name == resource }) {
				answer = "served"
			}
			have = append(have, entry{group: gv.String(), name: resource, facts: answer})
		}
	}
	compareRecord(t, "resources.txt", resourcesComment, have, nil)
}

// TestServedKinds compares the list of kinds in this package with a running server.
func TestServedKinds(t *testing.T) {
	want, got := map[string]bool{}, map[string]bool{}
	for _, kind := range servedKinds() {
		want[kind.gvk.Kind] = true
	}
	for _, list := range served(t) {
		for _, r := range list.APIResources {
			if !strings.HasSuffix(r.Kind, "ProxyOptions") {
				got[r.Kind] = true
			}
		}
	}
	if !maps.Equal(want, got) {
		t.Errorf("servedKinds lists %v, the server serves %v", slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	}
}
