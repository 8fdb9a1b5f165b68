package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/examples"
)

// What examples/quickstart holds, as far as the tour speaks of it.
const (
	helloService    = "hello"
	externalService = "external-service"
	servicePort     = "8080"
	outsidersPort   = 9101 // in the example; another when it is taken
	podCount        = 3
	unreadyPod      = "hello-2"
)

// How many requests each Service gets.
const (
	helloVisits    = 3000
	externalVisits = 1000
)

func (t *tour) quickstart(ctx context.Context) error {
	t.title("Apply examples/quickstart: three Pods, a Service that selects them, and one over addresses written by hand",
		"kubectl apply -f examples/quickstart")
	servers, port, err := outsiders(outsidersPort)
	if err != nil {
		return err
	}
	t.serve(servers)
	texts, err := quickstartManifests(port)
	if err != nil {
		return err
	}
	applied := time.Now()
	if err := t.apply.manifests(ctx, texts...); err != nil {
		return err
	}
	ep, err := t.awaitEndpoints(ctx, helloService,
		func(ep *v1.Endpoints) bool { return len(readyAddresses(ep)) == podCount })
	if err != nil {
		return err
	}
	t.say("%d Pods run and are ready, %d ms after the first line; the controller wrote them into Endpoints %s:", podCount,
		time.Since(applied).Milliseconds(), helloService)
	for _, a := range readyAddresses(ep) {
		t.say("  %-16s %s", a.IP, a.TargetRef.Name)
		t.left = append(t.left, net.JoinHostPort(a.IP, servicePort))
	}
	return nil
}

// quickstartManifests are the files of the example, in order. Where the tour's own servers had to take another port, it
// says so.
func quickstartManifests(port uint16) ([]manifest, error) {
	names, err := fs.Glob(examples.Quickstart, "quickstart/*.yaml")
	if err != nil {
		return nil, err
	}
	var all []manifest
	for _, name := range names {
		text, err := examples.Quickstart.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the example: %w", err)
		}
		text = bytes.ReplaceAll(text, []byte(strconv.Itoa(outsidersPort)), []byte(strconv.Itoa(int(port))))
		all = append(all, manifest{name: "examples/" + name, text: bytes.NewReader(text)})
	}
	return all, nil
}

func (t *tour) traffic(ctx context.Context) error {
	t.title(fmt.Sprintf("Send %d requests to Service %s, each on a connection of its own", helloVisits, helloService),
		"kubectl get service "+helloService)
	total, err := t.visitService(ctx, helloService, helloVisits)
	if err != nil {
		return err
	}
	if err := total.fair(podCount); err != nil {
		return err
	}
	for who := range total {
		if !strings.HasPrefix(who, "hello-") {
			return fmt.Errorf("%q answered, which is no Pod of the Service", who)
		}
	}
	return nil
}

func (t *tour) handWritten(ctx context.Context) error {
	t.title(fmt.Sprintf("Send %d more to %s: no selector, its Endpoints were written by hand", externalVisits,
		externalService),
		"kubectl get endpoints "+externalService+"; kubectl get endpointslices -l kubernetes.io/service-name="+externalService)
	slice, err := t.awaitMirror(ctx, externalService)
	if err != nil {
		return err
	}
	t.say("The controller leaves the Endpoints alone and mirrors them to EndpointSlice %s, for the proxy.", slice.Name)
	total, err := t.visitService(ctx, externalService, externalVisits)
	if err != nil {
		return err
	}
	if err := total.fair(len(t.outsiders)); err != nil {
		return err
	}
	for _, s := range t.outsiders {
		if who := s.Name() + " " + s.Addr().String(); total[who] == 0 {
			return fmt.Errorf("%s got nothing: %v", who, total)
		}
	}
	return nil
}

// visitService sends n requests to a Service's address and prints who answered how many.
func (t *tour) visitService(ctx context.Context, name string, n int) (spread, error) {
	addr, err := t.serviceAddress(ctx, name)
	if err != nil {
		return nil, err
	}
	t.left = append(t.left, addr)
	start := time.Now()
	total, err := t.visitor.visitMany(ctx, "http://"+addr+"/", n)
	if err != nil {
		return nil, fmt.Errorf("visiting Service %s: %w", name, err)
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
	svc, err := t.client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("reading Service %s: %w", name, err)
	}
	ip, err := netip.ParseAddr(svc.Spec.ClusterIP)
	if err != nil || len(svc.Spec.Ports) == 0 {
		return "", fmt.Errorf("service %s has no address: %q", name, svc.Spec.ClusterIP)
	}
	return netip.AddrPortFrom(ip, uint16(svc.Spec.Ports[0].Port)).String(), nil
}

// awaitMirror waits for the slice that mirrors a Service's Endpoints.
func (t *tour) awaitMirror(ctx context.Context, service string) (*discoveryv1.EndpointSlice, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := t.client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx,
			metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
		if err != nil {
			return nil, fmt.Errorf("looking for the mirrored slice: %w", err)
		}
		if len(list.Items) > 0 && len(list.Items[0].Endpoints) == len(t.outsiders) {
			return &list.Items[0], nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the slice that mirrors Endpoints %s: %w", service, ctx.Err())
		case <-tick.C:
		}
	}
}

// tell asks an echo server something other than who it is.
func (t *tour) tell(ctx context.Context, method, ip, path string) (string, error) {
	answer, err := t.visitor.do(ctx, method, "http://"+net.JoinHostPort(ip, servicePort)+path)
	if err != nil {
		return "", fmt.Errorf("talking to a Pod: %w", err)
	}
	return answer, nil
}

func (t *tour) environment(ctx context.Context) error {
	t.title("Make a Service, then a Pod: a container is told of the Services that exist when it starts",
		"kubectl get service later; kubectl get pod newcomer -o yaml")
	if err := t.apply.manifests(ctx, manifest{"later", strings.NewReader(laterService)},
		manifest{"newcomer", strings.NewReader(newcomerPod)}); err != nil {
		return err
	}
	newcomer, err := t.awaitPod(ctx, "newcomer", isReady)
	if err != nil {
		return err
	}
	t.left = append(t.left, net.JoinHostPort(newcomer.Status.PodIP, servicePort))
	young, err := t.tell(ctx, http.MethodGet, newcomer.Status.PodIP, "/env")
	if err != nil {
		return err
	}
	later, err := t.serviceAddress(ctx, "later")
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(later)
	for _, want := range []string{"LATER_SERVICE_HOST=" + host, "LATER_SERVICE_PORT=" + port, "HELLO_SERVICE_HOST="} {
		if !strings.Contains(young, want) {
			return fmt.Errorf("newcomer was not given %s: %q", want, young)
		}
	}
	t.say("Pod newcomer was given, of Services hello and later:")
	for _, line := range strings.Fields(young) {
		if strings.HasPrefix(line, "HELLO_SERVICE") || strings.HasPrefix(line, "LATER_") {
			t.say("  %s", line)
		}
	}
	return t.oldPodKnowsNothing(ctx)
}

// oldPodKnowsNothing: what started before a Service is not told of it.
func (t *tour) oldPodKnowsNothing(ctx context.Context) error {
	pod, err := t.client.CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, "hello-1", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading Pod hello-1: %w", err)
	}
	old, err := t.tell(ctx, http.MethodGet, pod.Status.PodIP, "/env")
	if err != nil {
		return err
	}
	if strings.Contains(old, "LATER_") {
		return fmt.Errorf("hello-1 started before Service later, and yet was given %q", old)
	}
	t.say("Pod hello-1 started before Service later and has none of the LATER_ variables.")
	return nil
}

const laterService = `
apiVersion: v1
kind: Service
metadata: {name: later}
spec:
  selector: {app: later}
  ports: [{name: http, port: 8080}]
`

const newcomerPod = `
apiVersion: v1
kind: Pod
metadata: {name: newcomer}
spec:
  containers:
    - name: echo
      image: viaduct
      command: [viaduct, echo]
      env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
      readinessProbe:
        httpGet: {path: /healthz, port: 8080}
        periodSeconds: 1
`

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
