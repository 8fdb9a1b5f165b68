package apiserver_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver/apitest"
)

// backend starts a web server, and creates the Pod web and the Service web for it.
func backend(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "" {
			http.Error(w, "the client's credentials came through", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%s %s?%s %s", r.Method, r.URL.Path, r.URL.RawQuery, body)
	}))
	t.Cleanup(web.Close)
	host, portText, err := net.SplitHostPort(web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseInt(portText, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	podAt(t, client, "web", host, int32(port))
	create(t, client, service("web", func(svc *corev1.Service) { svc.Spec.Ports[0].Name = "http" }))
	endpointsAt(t, client, "web", host, int32(port), "web")
	create(t, client, service("stranger", func(svc *corev1.Service) { svc.Spec.Ports[0].Name = "http" }))
	endpointsAt(t, client, "stranger", host, int32(port), "")
	create(t, client, service("impostor", func(svc *corev1.Service) { svc.Spec.Ports[0].Name = "http" }))
	endpointsAt(t, client, "impostor", "127.0.0.2", int32(port), "web")
	create(t, client, service("alone"))
}

func podAt(t *testing.T, client kubernetes.Interface, name, ip string, port int32) {
	t.Helper()
	pods := client.CoreV1().Pods("default")
	pod, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "web",
			Ports: []corev1.ContainerPort{{ContainerPort: port}}}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.PodIPs = []corev1.PodIP{{IP: ip}}
	if _, err := pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// endpointsAt creates Endpoints of one address, with the Pod in its targetRef; "" leaves the targetRef out.
func endpointsAt(t *testing.T, client kubernetes.Interface, name, ip string, port int32, pod string) {
	t.Helper()
	address := corev1.EndpointAddress{IP: ip}
	if pod != "" {
		address.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: pod}
	}
	_, err := client.CoreV1().Endpoints("default").Create(t.Context(), &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{address}, Ports: []corev1.EndpointPort{{Name: "http", Port: port}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func proxied(ctx context.Context, client kubernetes.Interface, method, path, body string) (string, error) {
	result := client.CoreV1().RESTClient().Verb(method).RequestURI(path).Body(strings.NewReader(body)).Do(ctx)
	answer, err := result.Raw()
	if err != nil {
		err = result.Error() // it has the server's message
	}
	return string(answer), err
}

func TestProxyToServicesAndPods(t *testing.T) {
	client := apitest.Start(t).Client(t)
	backend(t, client)
	const services, pods = "/api/v1/namespaces/default/services/", "/api/v1/namespaces/default/pods/"
	for _, tt := range []struct{ method, path, body, want string }{
		{"GET", services + "web:http/proxy/a/b?c=d", "", "GET /a/b?c=d "},
		{"GET", services + "web:80/proxy/a/", "", "GET /a/? "},
		{"GET", services + "http:web:http/proxy", "", "GET /? "},
		{"POST", services + "web:http/proxy/a", "text", "POST /a? text"},
		{"PUT", services + "web:http/proxy/a", "text", "PUT /a? text"},
		{"DELETE", services + "web:http/proxy/a", "", "DELETE /a? "},
		{"GET", pods + "web/proxy/a", "", "GET /a? "},
	} {
		got, err := proxied(t.Context(), client, tt.method, tt.path, tt.body)
		if err != nil || got != tt.want {
			t.Errorf("%s %s: %q, error %v, want %q", tt.method, tt.path, got, err, tt.want)
		}
	}
	for _, tt := range []struct {
		path, why string
		is        func(error) bool
	}{
		{services + "web:81/proxy/", "no service port 81 found", apierrors.IsServiceUnavailable},
		{services + "web:ftp/proxy/", `no endpoints available for service "web:ftp"`, apierrors.IsServiceUnavailable},
		{services + "web/proxy/", `no endpoints available for service "web"`, apierrors.IsServiceUnavailable},
		{services + "stranger:http/proxy/", "no endpoints available", apierrors.IsServiceUnavailable},
		{services + "impostor:http/proxy/", "no endpoints available", apierrors.IsServiceUnavailable},
		{services + "alone:80/proxy/", `"alone" not found`, apierrors.IsNotFound},
		{services + "absent:80/proxy/", `services "absent" not found`, apierrors.IsNotFound},
		{services + "ftp:web:http/proxy/", "invalid service request", apierrors.IsBadRequest},
		{pods + "absent/proxy/", `pods "absent" not found`, apierrors.IsNotFound},
	} {
		if _, err := proxied(t.Context(), client, "GET", tt.path, ""); !tt.is(err) || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("GET %s: error %v, want one that says %q", tt.path, err, tt.why)
		}
	}
}

// A Pod with an address of its own cannot make the server connect to the host.
func TestProxyToNoLoopbackElsewhere(t *testing.T) {
	client := apitest.StartIn(t, t.TempDir(), netip.MustParsePrefix("10.96.0.0/16")).Client(t)
	podAt(t, client, "sly", "127.0.0.1", 80)
	podAt(t, client, "link", "169.254.169.254", 80)
	for _, name := range []string{"sly", "link"} {
		_, err := proxied(t.Context(), client, "GET", "/api/v1/namespaces/default/pods/"+name+"/proxy/", "")
		if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("pod %s: error %v, want a refusal", name, err)
		}
	}
}

// kubectl reads the API's description to learn whether the server validates the fields of a kind. It takes the first
// PATCH of that kind.
func TestProxyIsNoPatchOfAService(t *testing.T) {
	client := apitest.Start(t).Client(t)
	resources, err := client.Discovery().ServerResourcesForGroupVersion("v1")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, r := range resources.APIResources {
		kinds[r.Name] = r.Kind
	}
	for name, want := range map[string]string{"services": "Service", "services/proxy": "ServiceProxyOptions",
		"pods/proxy": "PodProxyOptions"} {
		if kinds[name] != want {
			t.Errorf("%s is of kind %q, want %s", name, kinds[name], want)
		}
	}
}

func TestEndpointsAreDeprecated(t *testing.T) {
	server := apitest.Start(t)
	config := server.Config()
	warned := &warnings{}
	config.WarningHandler = warned
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	endpoints := client.CoreV1().Endpoints("default")
	const want = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
	expect := func(verb string, err error) {
		t.Helper()
		if texts := warned.take(); err != nil || len(texts) != 1 || texts[0] != want {
			t.Errorf("%s: warnings %q, error %v", verb, texts, err)
		}
	}
	_, err = endpoints.Get(t.Context(), "kubernetes", metav1.GetOptions{})
	expect("get", err)
	_, err = endpoints.List(t.Context(), metav1.ListOptions{})
	expect("list", err)
	w, err := endpoints.Watch(t.Context(), metav1.ListOptions{})
	expect("watch", err)
	w.Stop()
	_, err = endpoints.Create(t.Context(), &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "a"}},
		metav1.CreateOptions{})
	expect("create", err)
	expect("delete", endpoints.Delete(t.Context(), "a", metav1.DeleteOptions{}))
	if _, err := client.CoreV1().Services("default").List(t.Context(), metav1.ListOptions{}); err != nil ||
		len(warned.take()) > 0 {
		t.Errorf("services: error %v, or a warning", err)
	}
}

// warnings collects the warnings in the responses to one client.
type warnings struct{ texts []string }

func (w *warnings) HandleWarningHeader(_ int, _, text string) { w.texts = append(w.texts, text) }

func (w *warnings) take() []string {
	texts := w.texts
	w.texts = nil
	return texts
}
