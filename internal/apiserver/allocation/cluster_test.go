package allocation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/allocation"
	"viaduct/internal/apiserver/apitest"
	"viaduct/internal/apiserver/store"
)

// cluster is several servers over one etcd, and a client of that etcd.
type cluster struct {
	clients []*kubernetes.Clientset // one a server
	etcd    *clientv3.Client
	options apiserver.Options
}

func ranges(cidrs ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, c := range cidrs {
		list = append(list, netip.MustParsePrefix(c))
	}
	return list
}

// startCluster starts servers with options, of which only the ranges are required.
func startCluster(t testing.TB, servers int, options apiserver.Options) *cluster {
	t.Helper()
	shared := apitest.Etcd(t)
	c := &cluster{options: options, etcd: connect(t, shared)}
	c.options.Etcd, c.options.PKIDir = shared, t.TempDir()
	for range servers {
		c.clients = append(c.clients, c.startServer(t).Client(t))
	}
	return c
}

func (c *cluster) startServer(t testing.TB) *apitest.Server {
	t.Helper()
	options := c.options
	options.DataDir = t.TempDir()
	return apitest.StartWith(t, options)
}

func connect(t testing.TB, to store.Cluster) *clientv3.Client {
	t.Helper()
	etcd, err := clientv3.New(clientv3.Config{Endpoints: to.Servers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	return etcd
}

const portKeys = "/registry/viaduct/nodeports/"

// recorded lists everything that is recorded as held: addresses, and ports by number.
func (c *cluster) recorded(t testing.TB) []string {
	t.Helper()
	ips, err := c.clients[0].NetworkingV1().IPAddresses().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, ip := range ips.Items {
		ref := ip.Spec.ParentRef
		all = append(all, fmt.Sprintf("%s %s/%s %s", ip.Name, ref.Namespace, ref.Name, ip.Annotations["viaduct/service-uid"]))
	}
	answer, err := c.etcd.Get(t.Context(), portKeys, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range answer.Kvs {
		var owner allocation.Owner
		if err := json.Unmarshal(kv.Value, &owner); err != nil {
			t.Errorf("%s: %v", kv.Key, err)
		}
		all = append(all, fmt.Sprintf("%s %s %s", strings.TrimPrefix(string(kv.Key), portKeys), owner, owner.UID))
	}
	slices.Sort(all)
	return all
}

// needed lists what the stored Services hold, in the form of recorded. A number that two Services hold is listed
// twice.
func (c *cluster) needed(t testing.TB) []string {
	t.Helper()
	services, err := c.clients[0].CoreV1().Services("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range services.Items {
		svc := &services.Items[i]
		for thing := range heldBy(svc) {
			all = append(all, fmt.Sprintf("%s %s/%s %s", thing, svc.Namespace, svc.Name, svc.UID))
		}
	}
	slices.Sort(all)
	return all
}

// heldBy returns what the fields of a Service name. It is independent of the code under test.
func heldBy(svc *corev1.Service) map[string]bool {
	things := map[string]bool{}
	for _, ip := range svc.Spec.ClusterIPs {
		things[ip] = true
	}
	if svc.Spec.Type == corev1.ServiceTypeNodePort || svc.Spec.Type == corev1.ServiceTypeLoadBalancer {
		for _, p := range svc.Spec.Ports {
			things[fmt.Sprint(p.NodePort)] = true
		}
	}
	things[fmt.Sprint(svc.Spec.HealthCheckNodePort)] = true
	maps.DeleteFunc(things, func(thing string, _ bool) bool { return thing == "0" || thing == corev1.ClusterIPNone })
	return things
}

// checkRecords fails the test unless the records are exactly what the Services hold, each number for one Service.
func (c *cluster) checkRecords(t testing.TB) {
	t.Helper()
	recorded, needed := c.recorded(t), c.needed(t)
	if !slices.Equal(recorded, needed) {
		t.Fatalf("recorded and not needed: %v\nneeded and not recorded: %v", without(recorded, needed),
			without(needed, recorded))
	}
	seen := map[string]string{}
	for _, line := range needed {
		thing, owner, _ := strings.Cut(line, " ")
		if other, twice := seen[thing]; twice {
			t.Fatalf("%s is held by %s and %s", thing, other, owner)
		}
		seen[thing] = owner
	}
}

func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// service returns a Service of namespace default with one port.
func service(name string, change ...func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
	for _, f := range change {
		f(svc)
	}
	return svc
}

func ofType(kind corev1.ServiceType) func(*corev1.Service) {
	return func(svc *corev1.Service) { svc.Spec.Type = kind }
}

func withIPs(ips ...string) func(*corev1.Service) {
	return func(svc *corev1.Service) { svc.Spec.ClusterIP, svc.Spec.ClusterIPs = ips[0], ips }
}

func withPolicy(policy corev1.IPFamilyPolicy) func(*corev1.Service) {
	return func(svc *corev1.Service) { svc.Spec.IPFamilyPolicy = &policy }
}

func onNodePort(port int32) func(*corev1.Service) {
	return func(svc *corev1.Service) {
		svc.Spec.Type, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, port
	}
}

func create(ctx context.Context, client kubernetes.Interface, svc *corev1.Service, dryRun ...string) (*corev1.Service,
	error) {
	return client.CoreV1().Services(metav1.NamespaceDefault).Create(ctx, svc, metav1.CreateOptions{DryRun: dryRun})
}

func mustCreate(t testing.TB, client kubernetes.Interface, svc *corev1.Service) *corev1.Service {
	t.Helper()
	made, err := create(t.Context(), client, svc)
	if err != nil {
		t.Fatalf("creating %s: %v", svc.Name, err)
	}
	return made
}

// Two small ranges, so that a few Services fill them.
func smallRanges() apiserver.Options {
	return apiserver.Options{ServiceCIDRs: ranges("10.96.0.0/27", "fd00::/123"),
		NodePorts: allocation.PortRange{First: 30000, Last: 30039}}
}
