package apiserver_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver/apitest"
)

func service(name string, change ...func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
	for _, f := range change {
		f(svc)
	}
	return svc
}

func withClusterIP(ip string) func(*corev1.Service) {
	return func(svc *corev1.Service) { svc.Spec.ClusterIP = ip }
}

func withType(t corev1.ServiceType) func(*corev1.Service) {
	return func(svc *corev1.Service) { svc.Spec.Type = t }
}

func create(t *testing.T, client kubernetes.Interface, svc *corev1.Service) *corev1.Service {
	t.Helper()
	made, err := client.CoreV1().Services("default").Create(t.Context(), svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestBootstrap(t *testing.T) {
	server := apitest.Start(t)
	client := server.Client(t)
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		if _, err := client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Errorf("namespace %s: %v", name, err)
		}
	}
	svc, err := client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if svc.Spec.ClusterIP != "127.96.0.1" || svc.Spec.Ports[0].Port != 443 {
		t.Errorf("service kubernetes is at %s, ports %v", svc.Spec.ClusterIP, svc.Spec.Ports)
	}
	ep, err := client.CoreV1().Endpoints("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("https://%s:%d", ep.Subsets[0].Addresses[0].IP,
		ep.Subsets[0].Ports[0].Port); got != server.URL() {
		t.Errorf("endpoints kubernetes say %s, the server is at %s", got, server.URL())
	}
}

// If ClusterIPs are not loopback addresses, loopback endpoints are refused like upstream does. The server starts
// although its own endpoint is one.
func TestClusterRangeElsewhere(t *testing.T) {
	client := apitest.StartIn(t, t.TempDir(), netip.MustParsePrefix("10.96.0.0/16")).Client(t)
	svc, err := client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || svc.Spec.ClusterIP != "10.96.0.1" {
		t.Errorf("service kubernetes: %v, error %v", svc, err)
	}
	_, err = client.CoreV1().Endpoints("default").Create(t.Context(), &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "db"},
		Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "127.0.0.1"}}}},
	}, metav1.CreateOptions{})
	wantInvalid(t, err, "subsets[0].addresses[0].ip", "loopback")
}

func TestKubernetesServiceIsRecreated(t *testing.T) {
	client := apitest.Start(t).Client(t)
	events, err := client.CoreV1().Endpoints("default").Watch(t.Context(),
		metav1.ListOptions{FieldSelector: "metadata.name=kubernetes"})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	if err := client.CoreV1().Services("default").Delete(t.Context(), "kubernetes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for deleted := false; ; {
		event := <-events.ResultChan()
		deleted = deleted || event.Type == watch.Deleted
		if deleted && event.Type == watch.Added {
			break
		}
	}
	if _, err := client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestClusterIPs(t *testing.T) {
	client := apitest.Start(t).Client(t)
	named := create(t, client, service("named", withClusterIP("127.96.0.77")))
	if named.Spec.ClusterIPs[0] != "127.96.0.77" {
		t.Errorf("clusterIPs %v", named.Spec.ClusterIPs)
	}
	for _, tt := range []struct{ ip, cause string }{
		{"127.96.0.77", "provided IP is already allocated"},
		{"10.0.0.1", "not in the valid range. The range of valid IPs is 127.96.0.0/16"},
		{"127.96.255.255", "not in the valid range"},
	} {
		_, err := client.CoreV1().Services("default").Create(t.Context(), service("refused", withClusterIP(tt.ip)),
			metav1.CreateOptions{})
		wantInvalid(t, err, "spec.clusterIPs", tt.cause)
	}
	if err := client.CoreV1().Services("default").Delete(t.Context(), "named", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	create(t, client, service("again", withClusterIP("127.96.0.77"))) // released with its Service
}

// wantInvalid checks that err is a 422 whose causes name the field and the rule.
func wantInvalid(t *testing.T, err error, field, rule string) {
	t.Helper()
	status := apierrors.APIStatus(nil)
	if s, ok := err.(apierrors.APIStatus); ok {
		status = s
	}
	if status == nil || status.Status().Reason != metav1.StatusReasonInvalid {
		t.Fatalf("error %v, want an Invalid", err)
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Field == field && strings.Contains(cause.Message, rule) {
			return
		}
	}
	t.Errorf("no cause names %s and says %q: %+v", field, rule, status.Status().Details.Causes)
}

func TestDryRunAllocatesNothing(t *testing.T) {
	client := apitest.Start(t).Client(t)
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	for range 2 {
		if _, err := client.CoreV1().Services("default").Create(t.Context(), service("dry", withClusterIP("127.96.0.78")),
			dry); err != nil {
			t.Fatal(err)
		}
	}
	create(t, client, service("real", withClusterIP("127.96.0.78")))
}

func TestNodePorts(t *testing.T) {
	client := apitest.Start(t).Client(t)
	svc := create(t, client, service("np", withType(corev1.ServiceTypeNodePort)))
	port := svc.Spec.Ports[0].NodePort
	if port < 30000 || port > 32767 {
		t.Fatalf("node port %d", port)
	}
	same := service("other", withType(corev1.ServiceTypeNodePort),
		func(s *corev1.Service) { s.Spec.Ports[0].NodePort = port })
	_, err := client.CoreV1().Services("default").Create(t.Context(), same, metav1.CreateOptions{})
	wantInvalid(t, err, "spec.ports[0].nodePort", "provided port is already allocated")

	patch := []byte(`{"spec":{"type":"ClusterIP"}}`)
	svc, err = client.CoreV1().Services("default").Patch(t.Context(), "np", types.MergePatchType, patch,
		metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if svc.Spec.Ports[0].NodePort != 0 {
		t.Errorf("node port %d is left on a ClusterIP service", svc.Spec.Ports[0].NodePort)
	}
	create(t, client, same) // released by the change of type
}

// TestManyClientsNeverShareAnAddress creates Services from many goroutines in a range that just holds them.
func TestManyClientsNeverShareAnAddress(t *testing.T) {
	server := apitest.StartIn(t, t.TempDir(), netip.MustParsePrefix("127.96.0.0/25"))
	client := server.Client(t)
	const services = 100
	var mu sync.Mutex
	seen := map[string]string{}
	var clients sync.WaitGroup
	for i := range services {
		clients.Go(func() {
			name := fmt.Sprintf("s%d", i)
			svc, err := client.CoreV1().Services("default").Create(context.Background(), service(name), metav1.CreateOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if other, taken := seen[svc.Spec.ClusterIP]; taken {
				t.Errorf("%s and %s both have %s", name, other, svc.Spec.ClusterIP)
			}
			seen[svc.Spec.ClusterIP] = name
		})
	}
	clients.Wait()
}

func TestRestartKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	cidr := netip.MustParsePrefix("127.96.0.0/16")
	first := apitest.StartIn(t, dir, cidr)
	made := create(t, first.Client(t), service("kept", withClusterIP("127.96.0.99")))
	first.Stop()

	second := apitest.StartIn(t, dir, cidr)
	client := second.Client(t)
	found, err := client.CoreV1().Services("default").Get(t.Context(), "kept", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if found.UID != made.UID || found.ResourceVersion != made.ResourceVersion {
		t.Errorf("the restart changed the service: %s at %s, was %s at %s", found.UID, found.ResourceVersion, made.UID,
			made.ResourceVersion)
	}
	_, err = client.CoreV1().Services("default").Create(t.Context(), service("thief", withClusterIP("127.96.0.99")),
		metav1.CreateOptions{})
	wantInvalid(t, err, "spec.clusterIPs", "provided IP is already allocated")
}

func TestEndpointsEndWithTheirService(t *testing.T) {
	client := apitest.Start(t).Client(t)
	create(t, client, service("db"))
	byHand := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "db"},
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: "127.0.0.1"}}, Ports: []corev1.EndpointPort{{Port: 5432}},
		}},
	}
	if _, err := client.CoreV1().Endpoints("default").Create(t.Context(), byHand, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().Services("default").Delete(t.Context(), "db", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Endpoints("default").Get(t.Context(), "db", metav1.GetOptions{}); !apierrors.IsNotFound(
		err) {
		t.Errorf("after the service is gone, reading its endpoints gives %v, want NotFound", err)
	}
}

func TestBinding(t *testing.T) {
	client := apitest.Start(t).Client(t)
	pods := client.CoreV1().Pods("default")
	pod, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bind := func(node string, uid types.UID) error {
		return pods.Bind(t.Context(), &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: "p", UID: uid}, Target: corev1.ObjectReference{Kind: "Node", Name: node},
		}, metav1.CreateOptions{})
	}
	if err := bind("n1", "another"); !apierrors.IsConflict(err) {
		t.Errorf("binding a pod of another UID: %v, want a conflict", err)
	}
	if err := bind("n1", pod.UID); err != nil {
		t.Fatal(err)
	}
	if err := bind("n2", ""); !apierrors.IsConflict(err) {
		t.Errorf("binding twice: %v, want a conflict", err)
	}
	list, err := pods.List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=n1"})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Items[0].Status.Conditions[0].Type != corev1.PodScheduled {
		t.Errorf("pods on n1: %+v", list.Items)
	}
}

func TestPodDeletionIsGraceful(t *testing.T) {
	client := apitest.Start(t).Client(t)
	pods := client.CoreV1().Pods("default")
	for _, node := range []string{"", "n1"} {
		name := "p" + node
		_, err := pods.Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := pods.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		pod, err := pods.Get(t.Context(), name, metav1.GetOptions{})
		if node == "" {
			if !apierrors.IsNotFound(err) {
				t.Errorf("a pod that is on no node is still there: %v", err)
			}
			continue
		}
		if err != nil || pod.DeletionTimestamp == nil || *pod.DeletionGracePeriodSeconds != 30 {
			t.Errorf("a pod that an agent has to stop: %v, error %v", pod, err)
		}
	}
	if err := pods.Delete(t.Context(), "pn1", *metav1.NewDeleteOptions(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := pods.Get(t.Context(), "pn1", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after a delete with grace 0: %v, want NotFound", err)
	}
}

func TestNamespaceLifecycle(t *testing.T) {
	client := apitest.Start(t).Client(t)
	_, err := client.CoreV1().ConfigMaps("nowhere").Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{})
	if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), `namespaces "nowhere" not found`) {
		t.Errorf("error %v", err)
	}
}

func TestImmortalNamespaces(t *testing.T) {
	namespaces := apitest.Start(t).Client(t).CoreV1().Namespaces()
	for _, name := range []string{"default", "kube-system", "kube-public"} {
		err := namespaces.Delete(t.Context(), name, metav1.DeleteOptions{})
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "this namespace may not be deleted") {
			t.Errorf("deleting %s: %v", name, err)
		}
	}
	if _, err := namespaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "mine"}},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := namespaces.Delete(t.Context(), "mine", metav1.DeleteOptions{}); err != nil {
		t.Errorf("deleting one's own: %v", err)
	}
}
