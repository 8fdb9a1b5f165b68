package allocation_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

const finalizer = "networking.k8s.io/service-cidr-finalizer"

// awaitCIDR waits until a ServiceCIDR is as wanted. A nil function waits for its deletion.
func awaitCIDR(t *testing.T, client kubernetes.Interface, name string, wanted func(*networkingv1.ServiceCIDR) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events, err := client.NetworkingV1().ServiceCIDRs().Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" +
		name, ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	var last *networkingv1.ServiceCIDR
	for event := range events.ResultChan() {
		last, _ = event.Object.(*networkingv1.ServiceCIDR)
		if event.Type == "DELETED" {
			last = nil
		}
		if wanted(last) {
			return
		}
	}
	t.Fatalf("the service CIDR %s stays %+v", name, last)
}

func isReady(status metav1.ConditionStatus) func(*networkingv1.ServiceCIDR) bool {
	return func(c *networkingv1.ServiceCIDR) bool {
		return c != nil && slices.Contains(c.Finalizers, finalizer) &&
			meta.IsStatusConditionPresentAndEqual(c.Status.Conditions, "Ready", status)
	}
}

func newCIDR(name string, cidrs ...string) *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: networkingv1.ServiceCIDRSpec{CIDRs: cidrs}}
}

// The server's own ranges are a ServiceCIDR. It gains a second family with the flag, and otherwise keeps its first
// value.
func TestOwnRanges(t *testing.T) {
	dir := t.TempDir()
	start := func(cidrs ...string) *apitest.Server {
		return apitest.StartWith(t, apiserver.Options{DataDir: dir, ServiceCIDRs: ranges(cidrs...)})
	}
	for _, tt := range []struct {
		flag, stored string
		warned       bool
	}{
		{"10.96.0.0/24", "10.96.0.0/24", false},
		{"10.96.0.0/24,fd00::/112", "10.96.0.0/24,fd00::/112", false},
		{"10.96.0.0/24", "10.96.0.0/24,fd00::/112", true},
	} {
		server := start(strings.Split(tt.flag, ",")...)
		client := server.Client(t)
		own, err := client.NetworkingV1().ServiceCIDRs().Get(t.Context(), "kubernetes", metav1.GetOptions{})
		if err != nil || strings.Join(own.Spec.CIDRs, ",") != tt.stored {
			t.Errorf("%s: stored %v, %v; want %s", tt.flag, own.Spec.CIDRs, err, tt.stored)
		}
		awaitCIDR(t, client, "kubernetes", isReady(metav1.ConditionTrue))
		events, err := client.CoreV1().Events("default").List(t.Context(),
			metav1.ListOptions{FieldSelector: "reason=KubernetesDefaultServiceCIDRInconsistent"})
		if err != nil || (len(events.Items) > 0) != tt.warned {
			t.Errorf("%s: events %v, %v", tt.flag, events.Items, err)
		}
		server.Stop()
	}
}

// A second range helps when the first is full, and can be deleted when no Service holds its addresses.
func TestMoreRanges(t *testing.T) {
	t.Parallel() // it waits for the ten seconds that every server has to hear of a deletion
	c := startCluster(t, 2, apiserver.Options{ServiceCIDRs: ranges("10.96.0.0/28")})
	client, other := c.clients[0], c.clients[1]
	for i := range 13 {
		mustCreate(t, client, service(fmt.Sprint("s", i)))
	}
	if _, err := create(t.Context(), client, service("more")); !apierrors.IsInternalError(err) {
		t.Errorf("of a full range: %v", err)
	}
	cidrs := client.NetworkingV1().ServiceCIDRs()
	if _, err := cidrs.Create(t.Context(), newCIDR("more", "10.97.0.0/28"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCIDR(t, other, "more", isReady(metav1.ConditionTrue))
	made := mustCreate(t, other, service("more"))
	if !strings.HasPrefix(made.Spec.ClusterIP, "10.97.0.") {
		t.Errorf("the service is at %s", made.Spec.ClusterIP)
	}
	free := "10.97.0.14"
	if made.Spec.ClusterIP == free { // chosen at random
		free = "10.97.0.12"
	}
	mustCreate(t, other, service("named", withIPs(free)))
	c.checkRecords(t)

	if err := cidrs.Delete(t.Context(), "more", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCIDR(t, other, "more", func(c *networkingv1.ServiceCIDR) bool {
		ready := meta.FindStatusCondition(c.Status.Conditions, "Ready")
		return isReady(metav1.ConditionFalse)(c) && ready.Reason == "Terminating"
	})
	_, err := create(t.Context(), other, service("late", withIPs("10.97.0.13")))
	wantInvalid(t, err, "spec.clusterIPs", "not in the valid range")
	for _, name := range []string{"more", "named"} {
		if err := client.CoreV1().Services("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	awaitCIDR(t, other, "more", func(c *networkingv1.ServiceCIDR) bool { return c == nil })
}

func TestNetworkingAPI(t *testing.T) {
	client := apitest.Start(t).Client(t)
	cidrs, ips := client.NetworkingV1().ServiceCIDRs(), client.NetworkingV1().IPAddresses()
	_, err := cidrs.Create(t.Context(), newCIDR("bad", "10.97.0.1/24"), metav1.CreateOptions{})
	wantInvalid(t, err, "spec.cidrs[0]", "")
	_, err = ips.Create(t.Context(), &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "fd00:0::1"}},
		metav1.CreateOptions{})
	wantInvalid(t, err, "metadata.name", "")
	wantInvalid(t, err, "spec.parentRef", "")
	of, err := ips.Get(t.Context(), "127.96.0.1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ref := of.Spec.ParentRef; ref == nil || ref.Group != "" || ref.Resource != "services" ||
		ref.Namespace != "default" || ref.Name != "kubernetes" {
		t.Errorf("the address of the Service kubernetes refers to %v", ref)
	}
	if of.Labels["ipaddress.kubernetes.io/ip-family"] != string(corev1.IPv4Protocol) ||
		of.Labels["ipaddress.kubernetes.io/managed-by"] != "ipallocator.k8s.io" {
		t.Errorf("its labels are %v", of.Labels)
	}
	of.Spec.ParentRef.Name = "another"
	_, err = ips.Update(t.Context(), of, metav1.UpdateOptions{})
	wantInvalid(t, err, "spec.parentRef", "immutable")
	resources, err := client.Discovery().ServerResourcesForGroupVersion("networking.k8s.io/v1")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range resources.APIResources {
		names = append(names, fmt.Sprint(r.Name, " ", r.ShortNames, " ", r.Namespaced))
	}
	if got := strings.Join(names, "; "); got != "ipaddresses [ip] false; servicecidrs [] false; servicecidrs/status [] "+
		"false" {
		t.Errorf("served: %s", got)
	}
}
