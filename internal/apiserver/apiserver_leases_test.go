package apiserver_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

// urls returns the URLs of the servers in the Endpoints of the Service kubernetes, sorted.
func urls(ep *corev1.Endpoints) []string {
	var all []string
	for _, subset := range ep.Subsets {
		for _, address := range subset.Addresses {
			for _, port := range subset.Ports {
				all = append(all, "https://"+netip.AddrPortFrom(netip.MustParseAddr(address.IP), uint16(port.Port)).String())
			}
		}
	}
	slices.Sort(all)
	return all
}

// sliceURLs returns the URLs of the servers in the EndpointSlices of the Service kubernetes, sorted.
func sliceURLs(t *testing.T, client kubernetes.Interface) []string {
	t.Helper()
	list, err := client.DiscoveryV1().EndpointSlices("default").List(t.Context(),
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=kubernetes"})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, slice := range list.Items {
		for _, endpoint := range slice.Endpoints {
			all = append(all, "https://"+endpoint.Addresses[0]+":"+strconv.Itoa(int(*slice.Ports[0].Port)))
		}
	}
	slices.Sort(all)
	return all
}

// awaitServers waits until the Service kubernetes has the endpoints of servers.
func awaitServers(t *testing.T, client kubernetes.Interface, servers ...*apitest.Server) {
	t.Helper()
	var want []string
	for _, server := range servers {
		want = append(want, server.URL())
	}
	slices.Sort(want)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events, err := client.CoreV1().Endpoints("default").Watch(ctx,
		metav1.ListOptions{FieldSelector: "metadata.name=kubernetes"})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	got := "nothing"
	for event := range events.ResultChan() {
		if ep, ok := event.Object.(*corev1.Endpoints); ok {
			got = fmt.Sprint(urls(ep))
			if got == fmt.Sprint(want) {
				return
			}
		}
	}
	t.Fatalf("the endpoints of the service kubernetes are %s, want %v", got, want)
}

func TestServersOverOneEtcd(t *testing.T) {
	cluster, pki := apitest.Etcd(t), t.TempDir()
	start := func() *apitest.Server {
		return apitest.StartWith(t, apiserver.Options{DataDir: t.TempDir(), PKIDir: pki, Etcd: cluster})
	}
	first := start()
	awaitServers(t, first.Client(t), first)
	second := start()
	awaitServers(t, first.Client(t), first, second)
	third := start()
	awaitServers(t, first.Client(t), first, second, third)

	if _, err := first.Client(t).CoreV1().ConfigMaps("default").Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "shared"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Client(t).CoreV1().ConfigMaps("default").Get(t.Context(), "shared",
		metav1.GetOptions{}); err != nil {
		t.Errorf("what one server acknowledged, another does not know: %v", err)
	}

	first.Stop()
	awaitServers(t, second.Client(t), second, third)
	want := []string{second.URL(), third.URL()}
	slices.Sort(want)
	deadline := time.Now().Add(time.Minute) // the slices are written right after
	for got := sliceURLs(t, third.Client(t)); !slices.Equal(got, want); got = sliceURLs(t, third.Client(t)) {
		if time.Now().After(deadline) {
			t.Fatalf("the endpoint slices say %v, want %v", got, want)
		}
	}
	second.Stop()
	awaitServers(t, third.Client(t), third)
}
