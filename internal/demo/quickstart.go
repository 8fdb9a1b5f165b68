package demo

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/examples"
	"viaduct/internal/apply"
)

// The objects of examples/quickstart that the tour uses.
const (
	helloService    = "hello"
	externalService = "external-service"
	servicePort     = "8080"
	externalPort    = 9101 // in the manifest; the tour takes another if it is in use
	podCount        = 3
	unreadyPod      = "hello-2"
)

// The number of requests to each Service.
const (
	helloRequests    = 3000
	externalRequests = 1000
)

func (t *tour) quickstart(ctx context.Context) error {
	t.title("Apply examples/quickstart: three Pods, a Service that selects them, and a Service with Endpoints that a "+
		"person "+
		"wrote", "kubectl apply -f examples/quickstart")
	servers, port, err := externalServers(externalPort)
	if err != nil {
		return err
	}
	t.runExternalServers(servers)
	manifests, err := quickstartManifests(port)
	if err != nil {
		return err
	}
	applied := time.Now()
	if err := t.apply.Manifests(ctx, manifests...); err != nil {
		return err
	}
	ep, err := t.waitForEndpoints(ctx, helloService,
		func(ep *v1.Endpoints) bool { return len(readyAddresses(ep)) == podCount })
	if err != nil {
		return err
	}
	t.say("%d Pods run and are ready, %d ms after the first line; the controller wrote them into Endpoints %s:", podCount,
		time.Since(applied).Milliseconds(), helloService)
	for _, a := range readyAddresses(ep) {
		t.say("  %-16s %s", a.IP, a.TargetRef.Name)
		t.answered = append(t.answered, net.JoinHostPort(a.IP, servicePort))
	}
	return nil
}

// quickstartManifests returns the files of the example in order, with port in place of the port of the external
// servers.
func quickstartManifests(port uint16) ([]apply.Manifest, error) {
	names, err := fs.Glob(examples.Quickstart, "quickstart/*.yaml")
	if err != nil {
		return nil, err
	}
	var all []apply.Manifest
	for _, name := range names {
		text, err := examples.Quickstart.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the example: %w", err)
		}
		text = bytes.ReplaceAll(text, []byte(strconv.Itoa(externalPort)), []byte(strconv.Itoa(int(port))))
		all = append(all, apply.Manifest{Name: "examples/" + name, Text: bytes.NewReader(text)})
	}
	return all, nil
}

func (t *tour) podTraffic(ctx context.Context) error {
	t.title(fmt.Sprintf("Send %d requests to Service %s, each on a new connection", helloRequests, helloService),
		"kubectl get service "+helloService)
	total, err := t.requestService(ctx, helloService, helloRequests)
	if err != nil {
		return err
	}
	if err := total.checkFair(podCount); err != nil {
		return err
	}
	for who := range total {
		if !strings.HasPrefix(who, "hello-") {
			return fmt.Errorf("%q answered, which is not a Pod of the Service", who)
		}
	}
	return nil
}

func (t *tour) externalTraffic(ctx context.Context) error {
	t.title(fmt.Sprintf("Send %d more to %s: it has no selector, and a person wrote its Endpoints", externalRequests,
		externalService),
		"kubectl get endpoints "+externalService+
			"; kubectl get endpointslices -l kubernetes.io/service-name="+externalService)
	slice, err := t.waitForMirror(ctx, externalService)
	if err != nil {
		return err
	}
	t.say("The controller does not change these Endpoints. It mirrors them to EndpointSlice %s, which the proxy reads.",
		slice.Name)
	total, err := t.requestService(ctx, externalService, externalRequests)
	if err != nil {
		return err
	}
	if err := total.checkFair(len(t.external)); err != nil {
		return err
	}
	for _, s := range t.external {
		if who := s.Name() + " " + s.Addr().String(); total[who] == 0 {
			return fmt.Errorf("%s got no request: %v", who, total)
		}
	}
	return nil
}

// requestService sends n requests to a Service's address and prints how many each server answered.
func (t *tour) requestService(ctx context.Context, name string, n int) (counts, error) {
	addr, err := t.serviceAddress(ctx, name)
	if err != nil {
		return nil, err
	}
	t.answered = append(t.answered, addr)
	start := time.Now()
	total, err := t.requests.many(ctx, "http://"+addr+"/", n)
	if err != nil {
		return nil, fmt.Errorf("sending requests to Service %s: %w", name, err)
	}
	took := time.Since(start)
	t.say("%s answered %d requests in %d ms, %.0f a second, none failed:", addr, n, took.Milliseconds(),
		float64(n)/took.Seconds())
	for _, row := range total.table() {
		t.say("  %s", row)
	}
	return total, nil
}

func (t *tour) serviceAddress(ctx context.Context, name string) (string, error) {
	svc, err := t.api.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("reading Service %s: %w", name, err)
	}
	ip, err := netip.ParseAddr(svc.Spec.ClusterIP)
	if err != nil || len(svc.Spec.Ports) == 0 {
		return "", fmt.Errorf("service %s has no address: %q", name, svc.Spec.ClusterIP)
	}
	return netip.AddrPortFrom(ip, uint16(svc.Spec.Ports[0].Port)).String(), nil
}

// waitForMirror waits for the slice that mirrors a Service's Endpoints.
func (t *tour) waitForMirror(ctx context.Context, service string) (*discoveryv1.EndpointSlice, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := t.api.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx,
			metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
		if err != nil {
			return nil, fmt.Errorf("looking for the mirrored slice: %w", err)
		}
		if len(list.Items) > 0 && len(list.Items[0].Endpoints) == len(t.external) {
			return &list.Items[0], nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the slice that mirrors Endpoints %s: %w", service, ctx.Err())
		case <-tick.C:
		}
	}
}

// askPod sends a request to the echo server of a Pod.
func (t *tour) askPod(ctx context.Context, method, ip, path string) (string, error) {
	answer, err := t.requests.do(ctx, method, "http://"+net.JoinHostPort(ip, servicePort)+path)
	if err != nil {
		return "", fmt.Errorf("sending a request to a Pod: %w", err)
	}
	return answer, nil
}

func readyAddresses(ep *v1.Endpoints) []v1.EndpointAddress {
	var all []v1.EndpointAddress
	for _, s := range ep.Subsets {
		all = append(all, s.Addresses...)
	}
	return all
}

func lists(ep *v1.Endpoints, ip string) bool {
	return slices.ContainsFunc(readyAddresses(ep), func(a v1.EndpointAddress) bool { return a.IP == ip })
}

func isReady(pod *v1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c v1.PodCondition) bool {
		return c.Type == v1.PodReady &&
			c.Status == v1.ConditionTrue
	})
}
