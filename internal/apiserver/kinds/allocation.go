package kinds

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/watch"
	"viaduct/internal/apiserver/allocation"
	"viaduct/internal/apiserver/resource"
)

// Allocation keeps the ranges and the records of ClusterIPs and node ports.
type Allocation struct {
	allocator *allocation.Allocator
	ranges    *allocation.RangeKeeper
	repairer  *allocation.Repairer
	exclusive bool // no other server uses the store
}

// records are the kinds that the allocation is recorded in.
type records struct {
	addresses resource.Storage[*networkingv1.IPAddress]
	cidrs     resource.Storage[*networkingv1.ServiceCIDR]
	events    resource.Storage[*corev1.Event]
}

func newAllocator(c Config, addresses resource.Storage[*networkingv1.IPAddress],
	cidrs resource.Storage[*networkingv1.ServiceCIDR]) *allocation.Allocator {
	var families []corev1.IPFamily
	for _, prefix := range c.ServiceCIDRs {
		families = append(families, allocation.FamilyOf(prefix.Addr()))
	}
	return allocation.New(allocation.Config{
		Families: families, NodePorts: c.NodePorts, Addresses: addresses, Ranges: rangeStorage{cidrs},
		KV: c.Etcd.Client().KV, Log: c.Log.With("part", "allocation"),
	})
}

// newAllocation returns the parts that repair what is recorded. It starts nothing.
func newAllocation(c Config, allocator *allocation.Allocator, r records,
	services resource.Storage[*corev1.Service]) *Allocation {
	log := c.Log.With("part", "allocation")
	events := allocation.NewEvents(func(ctx context.Context, e *corev1.Event) error {
		_, err := r.events.Create(ctx, e)
		return err
	}, log)
	a := &Allocation{
		allocator: allocator,
		ranges:    allocation.NewRangeKeeper(c.ServiceCIDRs, rangeStorage{r.cidrs}, r.addresses, events, log),
		repairer:  allocation.NewRepairer(allocator, services, events),
		exclusive: c.Etcd.Alone(),
	}
	r.addresses.OnDelete(a.addressDeleted)
	return a
}

// afterRequestTimeout bounds what the server does after a request has been carried out.
const afterRequestTimeout = 2 * time.Second

// addressDeleted recreates the record of an address that a Service still has.
func (a *Allocation) addressDeleted(ip *networkingv1.IPAddress) {
	ctx, cancel := context.WithTimeout(context.Background(), afterRequestTimeout)
	defer cancel()
	a.repairer.Deleted(ctx, ip)
}

// Start creates what must exist before the first request: the ranges, and the records of everything that stored
// Services hold. The watch caches must be filled.
func (a *Allocation) Start(ctx context.Context) error {
	if err := a.ranges.Ensure(ctx); err != nil {
		return err
	}
	grace := allocation.Grace
	if a.exclusive {
		grace = 0
	}
	if err := a.repairer.Pass(ctx, grace); err != nil {
		return fmt.Errorf("examining what services hold: %w", err)
	}
	return nil
}

// Run keeps the ranges and the records correct until ctx ends.
func (a *Allocation) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { _ = a.ranges.Run(ctx) }) // its only error is that of ctx
	both.Go(func() { _ = a.repairer.Run(ctx) })
	both.Wait()
}

// Collectors returns the metrics of the allocation, under kube-apiserver's names.
func (a *Allocation) Collectors() []prometheus.Collector { return a.allocator.Collectors() }

// rangeStorage adds a watch to the storage of ServiceCIDRs.
type rangeStorage struct {
	resource.Storage[*networkingv1.ServiceCIDR]
}

// Watch implements allocation.RangeStore.
func (s rangeStorage) Watch(ctx context.Context) (watch.Interface, error) {
	return s.Main.Watch(resource.WithNamespace(ctx, ""), &internalversion.ListOptions{ResourceVersion: "0"})
}
