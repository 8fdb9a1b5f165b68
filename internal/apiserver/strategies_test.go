package apiserver_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver/apitest"
)

func plainPod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "web:1"}}}}
}

func TestPodGeneration(t *testing.T) {
	pods := apitest.Start(t).Client(t).CoreV1().Pods("default")
	sent := plainPod("web")
	sent.Generation = 7
	pod, err := pods.Create(t.Context(), sent, metav1.CreateOptions{})
	expect := func(step string, want int64) {
		t.Helper()
		if err != nil || pod.Generation != want {
			t.Fatalf("%s: generation %d, error %v, want %d", step, pod.Generation, err, want)
		}
	}
	expect("created", 1)
	pod.Labels = map[string]string{"a": "b"}
	pod, err = pods.Update(t.Context(), pod, metav1.UpdateOptions{})
	expect("labelled", 1)
	pod.Spec.Containers[0].Image = "web:2"
	pod, err = pods.Update(t.Context(), pod, metav1.UpdateOptions{})
	expect("changed", 2)
	pod.Generation, pod.Status.Phase = 9, corev1.PodRunning
	pod, err = pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	expect("status written", 2)
	pod.Generation = 9
	pod, err = pods.Update(t.Context(), pod, metav1.UpdateOptions{})
	expect("written again", 2)
}

func TestEndpointSliceGeneration(t *testing.T) {
	slices := apitest.Start(t).Client(t).DiscoveryV1().EndpointSlices("default")
	slice, err := slices.Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Generation: 7}, AddressType: discoveryv1.AddressTypeIPv4,
	}, metav1.CreateOptions{})
	for i, step := range []func(*discoveryv1.EndpointSlice){
		func(*discoveryv1.EndpointSlice) {},
		func(s *discoveryv1.EndpointSlice) { s.Annotations = map[string]string{"a": "b"} },
		func(s *discoveryv1.EndpointSlice) { s.Labels = map[string]string{"a": "b"} },
		func(s *discoveryv1.EndpointSlice) {
			s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"},
				DeprecatedTopology: map[string]string{"a": "b"}}}
		},
	} {
		if err != nil {
			t.Fatal(err)
		}
		step(slice)
		slice, err = slices.Update(t.Context(), slice, metav1.UpdateOptions{})
		if want := []int64{1, 1, 2, 3}[i]; err != nil || slice.Generation != want {
			t.Fatalf("step %d: generation %d, error %v, want %d", i, slice.Generation, err, want)
		}
	}
	if slice.Endpoints[0].DeprecatedTopology != nil {
		t.Error("the topology of older versions is kept in v1")
	}
}

func TestPodStatusSubresource(t *testing.T) {
	pods := apitest.Start(t).Client(t).CoreV1().Pods("default")
	sent := plainPod("web")
	sent.Status.Phase = corev1.PodRunning
	pod, err := pods.Create(t.Context(), sent, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if pod.Status.Phase != corev1.PodPending || pod.Status.QOSClass != corev1.PodQOSBestEffort {
		t.Errorf("status of a new Pod: %+v", pod.Status)
	}
	spec := pod.Spec.DeepCopy()
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, ObservedGeneration: 1,
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, ObservedGeneration: 1}}}
	pod.Spec.Containers[0].Image = "web:2"
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: "1"}}
	if pod, err = pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(spec, &pod.Spec); diff != "" || len(pod.OwnerReferences) > 0 {
		t.Errorf("a write of the status changed more: owners %v, spec (-before +after) %s", pod.OwnerReferences, diff)
	}
	if pod.Status.QOSClass != corev1.PodQOSBestEffort {
		t.Error("the quality of service is forgotten by a writer that does not know it")
	}
	pod.Status.ObservedGeneration, pod.Status.Conditions[0].ObservedGeneration = 0, 0
	if pod, err = pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if pod.Status.ObservedGeneration != 1 || pod.Status.Conditions[0].ObservedGeneration != 1 {
		t.Errorf("observed generations are forgotten by a writer that does not know them: %+v", pod.Status)
	}
	pod.Status.Phase, pod.Spec.Containers[0].Image = corev1.PodFailed, "web:3"
	if pod, err = pods.Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if pod.Status.Phase != corev1.PodRunning || pod.Spec.Containers[0].Image != "web:3" {
		t.Errorf("after a write of the Pod: phase %s, image %s", pod.Status.Phase, pod.Spec.Containers[0].Image)
	}
}

func TestGatedPodIsNotScheduled(t *testing.T) {
	sent := plainPod("gated")
	sent.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
	pod, err := apitest.Start(t).Client(t).CoreV1().Pods("default").Create(t.Context(), sent, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(pod.Status.Conditions) != 1 || pod.Status.Conditions[0].Type != corev1.PodScheduled ||
		pod.Status.Conditions[0].Status != corev1.ConditionFalse ||
		pod.Status.Conditions[0].Reason != corev1.PodReasonSchedulingGated {
		t.Errorf("conditions %+v", pod.Status.Conditions)
	}
}

func TestNodeStatusSubresource(t *testing.T) {
	nodes := apitest.Start(t).Client(t).CoreV1().Nodes()
	node, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "n"}}}}, metav1.CreateOptions{})
	if err != nil || len(node.Status.Addresses) != 1 {
		t.Fatalf("a new Node may have a status: %+v, error %v", node, err)
	}
	node.Spec.Unschedulable, node.Status.Addresses = true, nil
	if node, err = nodes.Update(t.Context(), node, metav1.UpdateOptions{}); err != nil || !node.Spec.Unschedulable ||
		len(node.Status.Addresses) != 1 {
		t.Fatalf("after a write of the Node: %+v, error %v", node, err)
	}
	node.Spec.Unschedulable, node.Status.Addresses = false, nil
	if node, err = nodes.UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil || !node.Spec.Unschedulable ||
		len(node.Status.Addresses) != 0 {
		t.Fatalf("after a write of the status: %+v, error %v", node, err)
	}
}

// A writer does not own fields that the write cannot change. Otherwise two appliers would conflict over them.
func TestApplyOwnership(t *testing.T) {
	client := apitest.Start(t).Client(t)
	if _, err := client.CoreV1().Pods("default").Create(t.Context(), plainPod("web"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	create(t, client, service("web"))
	if _, err := client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "web"}},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, resource, subresource, manifest string
		owns, ownsNot                         string
	}{
		{"a Pod", "pods", "", `{"kind":"Pod","metadata":{"labels":{"a":"b"}},"status":{"reason":"Mine"}}`, "f:labels",
			"f:status"},
		{"the status of a Pod", "pods", "status", `{"kind":"Pod","metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n","uid":"1"}]},
			"spec":{"priorityClassName":"mine"},"status":{"message":"mine"}}`, "f:status", "f:spec f:ownerReferences"},
		{"a Service", "services", "",
			`{"kind":"Service","spec":{"selector":{"a":"b"}},"status":{"conditions":[{"type":"Mine","status":"True"}]}}`,
			"f:spec", "f:status"},
		{"the status of a Service", "services", "status", `{"kind":"Service","spec":{"selector":{"a":"c"}},
			"status":{"conditions":[{"type":"Mine","status":"True","reason":"Mine","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, "f:status", "f:spec"},
		{"a Node", "nodes", "", `{"kind":"Node","spec":{"providerID":"mine"},"status":{"phase":"Mine"}}`, "f:spec",
			"f:status"},
		{"the status of a Node", "nodes", "status", `{"kind":"Node","spec":{"providerID":"other"},"status":{"phase":"Mine"}}`,
			"f:status", "f:spec"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			owned := applied(t, client, tt.resource, tt.subresource, tt.manifest)
			if !strings.Contains(owned, tt.owns) {
				t.Errorf("owns %s, want %s among it", owned, tt.owns)
			}
			for _, not := range strings.Fields(tt.ownsNot) {
				if strings.Contains(owned, not) {
					t.Errorf("owns %s, want %s not among it", owned, not)
				}
			}
		})
	}
}

// applied applies a manifest to the object web, and returns the fields that its manager owns.
func applied(t *testing.T, client kubernetes.Interface, resource, subresource, manifest string) string {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(manifest), &object); err != nil {
		t.Fatal(err)
	}
	object["apiVersion"] = "v1"
	if object["metadata"] == nil {
		object["metadata"] = map[string]any{}
	}
	object["metadata"].(map[string]any)["name"] = "web"
	body, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	manager := resource + subresource
	request := client.CoreV1().RESTClient().Patch(types.ApplyPatchType).Resource(resource).Name("web").SubResource(
		subresource)
	if resource != "nodes" {
		request = request.Namespace("default")
	}
	if subresource == "" {
		request = client.CoreV1().RESTClient().Patch(types.ApplyPatchType).Resource(resource).Name("web").NamespaceIfScoped(
			"default", resource != "nodes")
	}
	answer, err := request.Param("fieldManager", manager).SetHeader("Accept", "application/json").Body(body).Do(
		t.Context()).Raw()
	if err != nil {
		t.Fatalf("applying: %v: %s", err, answer)
	}
	var meta metav1.PartialObjectMetadata
	if err := json.Unmarshal(answer, &meta); err != nil {
		t.Fatal(err)
	}
	for _, entry := range meta.ManagedFields {
		if entry.Manager == manager {
			return string(entry.FieldsV1.Raw)
		}
	}
	t.Fatalf("%s is no manager of %+v", manager, meta.ManagedFields)
	return ""
}

// CVE-2021-25740: endpoints must not have addresses that only their clients can reach. In loopback mode loopback
// addresses belong to Pods and are allowed; nothing else changes.
func TestEndpointAddressRules(t *testing.T) {
	for _, tt := range []struct {
		cidr     string
		loopback bool // passes
	}{{"127.96.0.0/16", true}, {"10.96.0.0/16", false}} {
		t.Run(tt.cidr, func(t *testing.T) {
			client := apitest.StartIn(t, t.TempDir(), netip.MustParsePrefix(tt.cidr)).Client(t)
			for _, a := range []struct {
				ip     string
				passes bool
			}{
				{"127.0.0.1", tt.loopback}, {"127.255.255.254", tt.loopback}, {"::1", tt.loopback}, {"192.0.2.1", true},
				{"2001:db8::1", true},
				{"0.0.0.0", false}, {"::", false}, {"169.254.169.254", false}, {"fe80::1", false}, {"224.0.0.1", false},
				{"ff02::1", false},
				{"::ffff:127.0.0.1", false},
			} {
				if err := endpointsWith(t, client, a.ip); (err == nil) != a.passes {
					t.Errorf("Endpoints with %s: %v, want accepted %t", a.ip, err, a.passes)
				}
				if err := sliceWith(t, client, a.ip); (err == nil) != a.passes {
					t.Errorf("EndpointSlice with %s: %v, want accepted %t", a.ip, err, a.passes)
				}
			}
			for _, ip := range []string{"127.0.0.1", "::1", "169.254.169.254"} {
				external := service("external", func(svc *corev1.Service) { svc.Spec.ExternalIPs = []string{ip} })
				_, err := client.CoreV1().Services("default").Create(t.Context(), external, metav1.CreateOptions{})
				wantInvalid(t, err, "spec.externalIPs[0]", "must not be a")
			}
		})
	}
}

func endpointsWith(t *testing.T, client kubernetes.Interface, ip string) error {
	_, err := client.CoreV1().Endpoints("default").Create(t.Context(), &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e-"},
		Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: ip}}}},
	}, metav1.CreateOptions{})
	return err
}

func sliceWith(t *testing.T, client kubernetes.Interface, ip string) error {
	family := discoveryv1.AddressTypeIPv4
	if strings.Contains(ip, ":") {
		family = discoveryv1.AddressTypeIPv6
	}
	_, err := client.DiscoveryV1().EndpointSlices("default").Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e-"}, AddressType: family,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{ip}}},
	}, metav1.CreateOptions{})
	return err
}

// A user who may write Services may not add external IPs, and may keep those that an administrator has added.
func TestExternalIPsOfAnEditor(t *testing.T) {
	server := apitest.Start(t)
	admin, editor := server.Client(t), as(t, server, "editor")
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "services"}, Rules: []rbacv1.PolicyRule{
		{Verbs: []string{"*"}, APIGroups: []string{""}, Resources: []string{"services"}}}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "services"},
		RoleRef:  rbacv1.RoleRef{Kind: "ClusterRole", Name: "services"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "editor"}}}
	if _, err := admin.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	services := editor.CoreV1().Services("default")
	eventually(t, "the editor reads services", func() bool {
		_, err := services.List(t.Context(), metav1.ListOptions{})
		return err == nil
	})
	claimed := service("claimed", func(svc *corev1.Service) { svc.Spec.ExternalIPs = []string{"192.0.2.1"} })
	if _, err := services.Create(t.Context(), claimed, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a claim of an editor: %v", err)
	}
	plain, err := services.Create(t.Context(), service("plain"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"spec":{"externalIPs":["192.0.2.1"]}}`)
	if _, err := services.Patch(t.Context(), plain.Name, types.MergePatchType, patch,
		metav1.PatchOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a claim of an editor by patch: %v", err)
	}
	given := create(t, admin, claimed)
	given.Labels = map[string]string{"kept": "yes"}
	if _, err := services.Update(t.Context(), given, metav1.UpdateOptions{}); err != nil {
		t.Errorf("an editor labels what an administrator made: %v", err)
	}
}

func TestExternalIPsOfAnAdministrator(t *testing.T) {
	server := apitest.Start(t)
	warned := &warnings{}
	config := server.Config()
	config.WarningHandler = warned
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	create(t, client, service("external", func(svc *corev1.Service) { svc.Spec.ExternalIPs = []string{"192.0.2.1"} }))
	if texts := warned.take(); len(texts) != 1 || !strings.HasPrefix(texts[0], "spec.externalIPs: deprecated") {
		t.Errorf("warnings %q", texts)
	}
}
