package kinds_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	networkingclient "k8s.io/client-go/kubernetes/typed/networking/v1"
	restclient "k8s.io/client-go/rest"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
	"viaduct/internal/apiserver/printers"
	"viaduct/internal/apiserver/resource"
)

// ingress is a complete API resource that the server does not have: the file that a new kind needs. Its line is the one
// in TestNewKind.
func ingress() resource.Kind[*networkingv1.Ingress] {
	return resource.Kind[*networkingv1.Ingress]{
		Group: resource.Group{Version: networkingv1.SchemeGroupVersion, AddToScheme: networkingv1.AddToScheme},
		Names: resource.Names{Plural: "ingresses", Singular: "ingress", Short: []string{"ing"}},
		Rules: resource.Rules[*networkingv1.Ingress]{
			Default: func(i *networkingv1.Ingress) {
				if i.Spec.IngressClassName == nil {
					i.Spec.IngressClassName = new("plain")
				}
			},
			PrepareCreate: func(_ context.Context, i *networkingv1.Ingress) { i.Status = networkingv1.IngressStatus{} },
			PrepareUpdate: func(_ context.Context, i, old *networkingv1.Ingress) { i.Status = old.Status },
			Validate:      validateIngress,
			Warn: func(i, _ *networkingv1.Ingress) []string {
				return []string{"no controller serves ingress " + i.Name}
			},
			AllowUnconditionalUpdate: true,
		},
		Selection: resource.Selection[*networkingv1.Ingress]{Fields: func(i *networkingv1.Ingress) fields.Set {
			set := fields.Set{"spec.ingressClassName": ""}
			if i.Spec.IngressClassName != nil {
				set["spec.ingressClassName"] = *i.Spec.IngressClassName
			}
			return set
		}},
		Status: &resource.Subresource[*networkingv1.Ingress]{
			PrepareUpdate: func(i, old *networkingv1.Ingress) { i.Spec = old.Spec },
		},
		Serving: resource.Serving{Table: printers.Table[*networkingv1.Ingress]{
			Columns: []metav1.TableColumnDefinition{printers.Name(), printers.Column("Class", "Its class."), printers.Age()},
			Cells: func(i *networkingv1.Ingress, now time.Time) []any {
				return []any{i.Name, *i.Spec.IngressClassName, printers.Since(i.CreationTimestamp.Time, now)}
			},
		}},
		UserRoles: resource.ViewReadsEditWrites,
	}
}

func validateIngress(i *networkingv1.Ingress) field.ErrorList {
	if i.Spec.DefaultBackend == nil && len(i.Spec.Rules) == 0 {
		return field.ErrorList{field.Required(field.NewPath("spec", "defaultBackend"), "or spec.rules")}
	}
	return nil
}

// A new kind is served completely: what it leaves out is derived.
func TestNewKind(t *testing.T) {
	server := apitest.StartWith(t, apiserver.Options{
		DataDir: t.TempDir(), Kinds: []resource.Definition{ingress()},
	})
	t.Run("write and read", func(t *testing.T) { writeAndRead(t, server) })
	t.Run("watch", func(t *testing.T) { watchChanges(t, server) })
	t.Run("table", func(t *testing.T) { readTable(t, server) })
	t.Run("discovery and OpenAPI", func(t *testing.T) { describe(t, server) })
	t.Run("roles", func(t *testing.T) { checkRoles(t, server) })
	t.Run("namespace deletion", func(t *testing.T) { deleteNamespace(t, server) })
}

func named(name string) *networkingv1.Ingress {
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
			Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}},
		}},
	}
}

func ingresses(t *testing.T, server *apitest.Server) networkingclient.IngressInterface {
	return server.Client(t).NetworkingV1().Ingresses("default")
}

func create(t *testing.T, api networkingclient.IngressInterface, name string) *networkingv1.Ingress {
	t.Helper()
	made, err := api.Create(t.Context(), named(name), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func writeAndRead(t *testing.T, server *apitest.Server) {
	api := ingresses(t, server)
	made := create(t, api, "a")
	if *made.Spec.IngressClassName != "plain" {
		t.Errorf("class %q, want the default", *made.Spec.IngressClassName)
	}
	if _, err := api.Create(t.Context(), &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "b"}},
		metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("without a backend: %v, want Invalid", err)
	}
	made.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}
	made.Spec.IngressClassName = new("other")
	if _, err := api.UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := api.Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil || len(got.Status.LoadBalancer.Ingress) != 1 || *got.Spec.IngressClassName != "plain" {
		t.Errorf("after a write of the status: %+v, error %v", got, err)
	}
	for selector, want := range map[string]int{"spec.ingressClassName=plain": 1, "spec.ingressClassName=other": 0} {
		list, err := api.List(t.Context(), metav1.ListOptions{FieldSelector: selector})
		if err != nil || len(list.Items) != want {
			t.Errorf("%s: %d items, error %v; want %d", selector, len(list.Items), err, want)
		}
	}
	if err := api.Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Get(t.Context(), "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after the deletion: %v, want NotFound", err)
	}
}

func watchChanges(t *testing.T, server *apitest.Server) {
	api := ingresses(t, server)
	made := create(t, api, "watched")
	w, err := api.Watch(t.Context(), metav1.ListOptions{ResourceVersion: made.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := api.Patch(t.Context(), "watched", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
		metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := api.Delete(t.Context(), "watched", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []watch.EventType{watch.Modified, watch.Deleted} {
		e := <-w.ResultChan()
		if i, ok := e.Object.(*networkingv1.Ingress); e.Type != want || !ok || i.Labels["a"] != "b" {
			t.Errorf("event %s of %v, want %s with the label", e.Type, e.Object, want)
		}
	}
}

func readTable(t *testing.T, server *apitest.Server) {
	create(t, ingresses(t, server), "shown")
	text, err := server.Client(t).NetworkingV1().RESTClient().Get().Namespace("default").Resource("ingresses").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil || !strings.Contains(string(text), `"cells":["shown","plain","`) {
		t.Errorf("table %s, error %v", text, err)
	}
}

func describe(t *testing.T, server *apitest.Server) {
	client := server.Client(t).Discovery()
	found, err := client.ServerResourcesForGroupVersion("networking.k8s.io/v1")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(found.APIResources, func(r metav1.APIResource) bool { return r.Name == "ingresses" })
	if i < 0 || found.APIResources[i].Kind != "Ingress" || !slices.Contains(found.APIResources[i].ShortNames, "ing") {
		t.Errorf("discovery has %+v", found.APIResources)
	}
	text, err := client.RESTClient().Get().AbsPath("/openapi/v3/apis/networking.k8s.io/v1").DoRaw(t.Context())
	if err != nil || !strings.Contains(string(text), "/namespaces/{namespace}/ingresses/{name}/status") {
		t.Errorf("OpenAPI does not describe the status subresource: %v", err)
	}
}

// userWith returns a client of a user who has a built-in role in the namespace default.
func userWith(t *testing.T, server *apitest.Server, role string) networkingclient.IngressInterface {
	t.Helper()
	user := role + "-user"
	_, err := server.Client(t).RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := server.Config()
	config.Impersonate = restclient.ImpersonationConfig{UserName: user}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.NetworkingV1().Ingresses("default")
}

func checkRoles(t *testing.T, server *apitest.Server) {
	viewer, editor := userWith(t, server, "view"), userWith(t, server, "edit")
	for name, api := range map[string]networkingclient.IngressInterface{"view": viewer, "edit": editor} {
		eventually(t, name+" reads", func() bool {
			_, err := api.List(t.Context(), metav1.ListOptions{})
			return err == nil
		})
	}
	if _, err := viewer.Create(t.Context(), named("by-viewer"), metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("view creates: %v, want Forbidden", err)
	}
	if _, err := editor.Create(t.Context(), named("by-editor"), metav1.CreateOptions{}); err != nil {
		t.Errorf("edit creates: %v", err)
	}
}

func deleteNamespace(t *testing.T, server *apitest.Server) {
	client := server.Client(t)
	if err := createNamespace(t.Context(), client, "short"); err != nil {
		t.Fatal(err)
	}
	create(t, client.NetworkingV1().Ingresses("short"), "content")
	if err := client.CoreV1().Namespaces().Delete(t.Context(), "short", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace ends with its content", func() bool {
		_, err := client.CoreV1().Namespaces().Get(t.Context(), "short", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	if _, err := client.NetworkingV1().Ingresses("short").Get(t.Context(), "content",
		metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the content: %v, want NotFound", err)
	}
}

func createNamespace(ctx context.Context, client kubernetes.Interface, name string) error {
	_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		metav1.CreateOptions{})
	return err
}

// eventually waits until done returns true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 30*time.Second, true,
		func(context.Context) (bool, error) { return done(), nil })
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// The declaration of a kind that does not fit its group is an error of the server's start.
func TestKindOfAnotherGroup(t *testing.T) {
	wrong := ingress()
	wrong.Group = resource.Group{Version: rbacv1.SchemeGroupVersion, AddToScheme: rbacv1.AddToScheme}
	b := resource.NewBuilder()
	wrong.DeclareIn(b)
	if err := b.Complete(nil); err == nil || !strings.Contains(err.Error(), "declaring ingresses") {
		t.Errorf("error %v, want one that names the kind", err)
	}
}
