package allocation_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/allocation"
	"viaduct/internal/apiserver/apitest"
)

// remote is a resource reached through the API, as from another process. The pass of a Repairer needs no more.
type remote[T any] struct {
	get    func(context.Context, string, string, metav1.GetOptions) (T, error)
	list   func(context.Context, metav1.ListOptions) ([]T, error)
	create func(context.Context, T) (T, error)
	remove func(context.Context, T) error
}

func (r remote[T]) Get(ctx context.Context, namespace, name, version string) (T, error) {
	return r.get(ctx, namespace, name, metav1.GetOptions{ResourceVersion: version})
}

func (r remote[T]) List(ctx context.Context, version string) ([]T, error) {
	return r.list(ctx, metav1.ListOptions{ResourceVersion: version})
}

func (r remote[T]) Create(ctx context.Context, obj T) (T, error) { return r.create(ctx, obj) }
func (r remote[T]) Delete(ctx context.Context, obj T) error      { return r.remove(ctx, obj) }

func pointers[T any](items []T) []*T {
	var list []*T
	for i := range items {
		list = append(list, &items[i])
	}
	return list
}

// newRepairer returns a repairer like those of the servers, and a function that returns the events since its last
// call.
func (c *cluster) newRepairer() (*allocation.Repairer, func() []string) {
	client := c.clients[0]
	ips := client.NetworkingV1().IPAddresses()
	addresses := remote[*networkingv1.IPAddress]{
		get: func(ctx context.Context, _, name string, o metav1.GetOptions) (*networkingv1.IPAddress, error) {
			return ips.Get(ctx, name, o)
		},
		list: func(ctx context.Context, o metav1.ListOptions) ([]*networkingv1.IPAddress, error) {
			all, err := ips.List(ctx, o)
			return pointers(all.Items), err
		},
		create: func(ctx context.Context, ip *networkingv1.IPAddress) (*networkingv1.IPAddress, error) {
			return ips.Create(ctx, ip, metav1.CreateOptions{})
		},
		remove: func(ctx context.Context, ip *networkingv1.IPAddress) error {
			return ips.Delete(ctx, ip.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &ip.UID}})
		},
	}
	cidrs := remote[*networkingv1.ServiceCIDR]{list: func(ctx context.Context,
		o metav1.ListOptions) ([]*networkingv1.ServiceCIDR, error) {
		all, err := client.NetworkingV1().ServiceCIDRs().List(ctx, o)
		return pointers(all.Items), err
	}}
	services := remote[*corev1.Service]{
		get: func(ctx context.Context, namespace, name string, o metav1.GetOptions) (*corev1.Service, error) {
			return client.CoreV1().Services(namespace).Get(ctx, name, o)
		},
		list: func(ctx context.Context, o metav1.ListOptions) ([]*corev1.Service, error) {
			all, err := client.CoreV1().Services("").List(ctx, o)
			return pointers(all.Items), err
		},
	}
	log := slog.New(slog.DiscardHandler)
	var (
		mu      sync.Mutex // guards reasons
		reasons []string
	)
	events := allocation.NewEvents(func(_ context.Context, e *corev1.Event) error {
		mu.Lock()
		defer mu.Unlock()
		reasons = append(reasons, e.Reason+" "+e.InvolvedObject.Name)
		return nil
	}, log)
	a := allocation.New(allocation.Config{NodePorts: c.options.NodePorts, Addresses: addresses, Ranges: cidrs,
		KV: c.etcd.KV, Log: log})
	return allocation.NewRepairer(a, services, events), func() []string {
		mu.Lock()
		defer mu.Unlock()
		reported := slices.Sorted(slices.Values(reasons))
		reasons = nil
		return reported
	}
}

func TestRepair(t *testing.T) {
	c := startCluster(t, 1, smallRanges())
	client, ctx := c.clients[0], t.Context()
	repairer, reported := c.newRepairer()
	pass := func(grace time.Duration) []string {
		t.Helper()
		if err := repairer.Pass(ctx, grace); err != nil {
			t.Fatal(err)
		}
		return reported()
	}
	want := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: reported %q, want %q", what, got, want)
		}
	}
	mustCreate(t, client, service("a", withIPs("10.96.0.9"), onNodePort(30009)))
	want("nothing is wrong", pass(0))

	// Lost records are created again and reported.
	c.lose(t, "10.96.0.9") // in etcd: the servers would notice a deletion by the API
	if _, err := c.etcd.Delete(ctx, portKeys+"30009"); err != nil {
		t.Fatal(err)
	}
	want("lost", pass(time.Hour), "ClusterIPNotAllocated a", "PortNotAllocated a")
	c.checkRecords(t)
	want("lost, again", pass(0))

	// A record without a Service may belong to a request under way, so it stays unchanged for the grace.
	c.leak(t, "10.96.0.20", "gone")
	c.leak(t, "10.96.0.21", "a")
	if _, err := c.etcd.Put(ctx, portKeys+"30020", `{"namespace":"default","name":"gone","uid":"u"}`); err != nil {
		t.Fatal(err)
	}
	before := c.recorded(t)
	want("leaked, first seen", pass(time.Hour))
	want("leaked, seen again too soon", pass(time.Hour))
	if after := c.recorded(t); !slices.Equal(before, after) {
		t.Errorf("removed too soon: %v", without(before, after))
	}
	want("leaked, after the grace", pass(0), "IPAddressNotAllocated 10.96.0.20", "IPAddressWrongReference 10.96.0.21")
	c.checkRecords(t)

	// What an administrator has to correct is reported once.
	c.lose(t, "10.96.0.9")
	mustCreate(t, client, service("b", withIPs("10.96.0.9"))) // nothing was recorded, so the request was not refused
	want("twice", pass(time.Hour), "ClusterIPAlreadyAllocated a")
	want("twice, again", pass(time.Hour))
}

// The record of an address in use is created again at once after its deletion.
func TestDeletedRecordComesBack(t *testing.T) {
	c := startCluster(t, 1, smallRanges())
	client := c.clients[0]
	mustCreate(t, client, service("a", withIPs("10.96.0.9")))
	made, err := client.NetworkingV1().IPAddresses().Watch(t.Context(),
		metav1.ListOptions{FieldSelector: "metadata.name=10.96.0.9"})
	if err != nil {
		t.Fatal(err)
	}
	defer made.Stop()
	if err := client.NetworkingV1().IPAddresses().Delete(t.Context(), "10.96.0.9", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for deleted := false; ; {
		event := <-made.ResultChan()
		deleted = deleted || event.Type == watch.Deleted
		if deleted && event.Type == watch.Added {
			break
		}
	}
	c.checkRecords(t)
}

// Servers that start at the same time over an empty store all start, with one Service kubernetes between them.
func TestServersThatStartAtOnce(t *testing.T) {
	c := &cluster{options: smallRanges()}
	shared := apitest.Etcd(t)
	c.options.Etcd, c.options.PKIDir, c.etcd = shared, t.TempDir(), connect(t, shared)
	servers := make(chan *apitest.Server, 3)
	for range cap(servers) {
		go func() {
			var server *apitest.Server // nil if it does not start
			defer func() { servers <- server }()
			server = c.startServer(t)
		}()
	}
	for range cap(servers) {
		server := <-servers
		if server == nil {
			t.FailNow()
		}
		c.clients = append(c.clients, server.Client(t))
	}
	c.checkRecords(t)
}

// lose removes the record of an address, or all records, in etcd, so that the servers do not notice.
func (c *cluster) lose(t *testing.T, ip string) {
	t.Helper()
	if _, err := c.etcd.Delete(t.Context(), "/registry/ipaddresses/"+ip, clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
}

// leak records an address for a Service that does not have it.
func (c *cluster) leak(t *testing.T, ip, name string) {
	t.Helper()
	_, err := c.clients[0].NetworkingV1().IPAddresses().Create(t.Context(), &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: ip, Labels: map[string]string{
			networkingv1.LabelIPAddressFamily: "IPv4", networkingv1.LabelManagedBy: allocation.ManagedBy,
		}},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Resource: "services", Namespace: "default",
			Name: name}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// A repairer beside busy servers takes nothing away from a Service, as long as it touches only records that have not
// changed for its grace. (That grace is a minute and a half; here it only has to be longer than a request.)
func TestRepairBesideRequests(t *testing.T) {
	c := startCluster(t, 2, smallRanges())
	repairer, _ := c.newRepairer()
	done := make(chan struct{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for round := range 12 {
				name := fmt.Sprintf("s%d-%d", i, round)
				if _, err := create(t.Context(), c.clients[i%2], service(name, ofType(corev1.ServiceTypeNodePort))); err != nil &&
					!apierrors.IsInternalError(err) {
					t.Error(err)
				}
				if round%2 == 0 {
					_ = c.clients[i%2].CoreV1().Services("default").Delete(t.Context(), name, metav1.DeleteOptions{})
				}
			}
		})
	}
	go func() { all.Wait(); close(done) }()
	for passes := 0; ; passes++ {
		if err := repairer.Pass(t.Context(), time.Hour); err != nil {
			t.Error(err)
		}
		select {
		case <-done:
			c.checkRecords(t)
			return
		default:
		}
	}
}

// A store from before there were records gets them when the server starts, before any request can be allocated a
// held number.
func TestStoreWithoutRecords(t *testing.T) {
	c := startCluster(t, 1, smallRanges())
	made := mustCreate(t, c.clients[0], service("a", ofType(corev1.ServiceTypeNodePort),
		withPolicy(corev1.IPFamilyPolicyRequireDualStack)))
	before := c.recorded(t)
	ctx := t.Context()
	c.lose(t, "")
	if _, err := c.etcd.Delete(ctx, portKeys+fmt.Sprint(made.Spec.Ports[0].NodePort)); err != nil {
		t.Fatal(err)
	}
	c.startServer(t)
	if after := c.recorded(t); !slices.Equal(before, after) {
		t.Errorf("recorded: %v, want %v", after, before)
	}
}

// The only server of a store removes at its start the records that its predecessor leaked.
func TestLeakIsGoneAfterARestart(t *testing.T) {
	options := apiserver.Options{DataDir: t.TempDir(), ServiceCIDRs: ranges("10.96.0.0/24")}
	server := apitest.StartWith(t, options)
	c := &cluster{clients: []*kubernetes.Clientset{server.Client(t)}}
	c.leak(t, "10.96.0.20", "gone")
	server.Stop()
	client := apitest.StartWith(t, options).Client(t)
	if _, err := client.NetworkingV1().IPAddresses().Get(t.Context(), "10.96.0.20",
		metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the leaked address: %v", err)
	}
	events, err := client.CoreV1().Events("default").List(t.Context(),
		metav1.ListOptions{FieldSelector: "reason=IPAddressNotAllocated"})
	if err != nil || len(events.Items) != 1 || events.Items[0].InvolvedObject.Name != "10.96.0.20" {
		t.Errorf("events: %v, %v", events.Items, err)
	}
}
