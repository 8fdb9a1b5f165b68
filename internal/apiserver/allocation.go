package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/watch"
	"viaduct/internal/apiserver/allocation"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/store"
)

// allocations are the parts of package allocation at work on this server's store.
type allocations struct {
	allocator *allocation.Allocator
	ranges    *allocation.RangeKeeper
	repairer  *allocation.Repairer
	alone     bool // no other server works on the store
}

// newAllocations ties the package to the stores. It starts nothing.
func newAllocations(options *Options, log *slog.Logger, schemes *schemes, stores *stores,
	etcd *store.Store) *allocations {
	log = log.With("part", "allocation")
	addresses := resource.Storage[*networkingv1.IPAddress]{Main: stores.addresses, Scheme: schemes.types}
	ranges := rangeObjects{resource.Storage[*networkingv1.ServiceCIDR]{Main: stores.cidrs, Status: stores.cidrsStatus,
		Scheme: schemes.types}}
	services := resource.Storage[*corev1.Service]{Main: stores.services, Scheme: schemes.types}
	stored := resource.Storage[*corev1.Event]{Main: stores.events, Scheme: schemes.types}
	events := allocation.NewEvents(func(ctx context.Context, e *corev1.Event) error {
		_, err := stored.Create(ctx,
			e)
		return err
	}, log)
	var families []corev1.IPFamily
	for _, prefix := range options.ServiceCIDRs {
		families = append(families, allocation.FamilyOf(prefix.Addr()))
	}
	a := allocation.New(allocation.Config{
		Families: families, NodePorts: options.NodePorts, Addresses: addresses, Ranges: ranges, KV: etcd.Client().KV,
		Log: log,
	})
	return &allocations{
		allocator: a,
		ranges:    allocation.NewRangeKeeper(options.ServiceCIDRs, ranges, addresses, events, log),
		repairer:  allocation.NewRepairer(a, services, events),
		alone:     etcd.Alone(),
	}
}

// start makes what has to be there before the first request: the ranges, and the records of all that stored Services
// hold. The caches must have been filled.
func (a *allocations) start(ctx context.Context) error {
	if err := a.ranges.Ensure(ctx); err != nil {
		return err
	}
	grace := allocation.Grace
	if a.alone {
		grace = 0
	}
	if err := a.repairer.Pass(ctx, grace); err != nil {
		return fmt.Errorf("examining what services hold: %w", err)
	}
	return nil
}

// run keeps the ranges and the records until ctx ends.
func (a *allocations) run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { _ = a.ranges.Run(ctx) }) // each ends with ctx only
	both.Go(func() { _ = a.repairer.Run(ctx) })
	both.Wait()
}

// checkRanges refuses ranges that nothing can be allocated from.
func (s *Server) checkRanges() error {
	for i, prefix := range s.options.ServiceCIDRs {
		usable, err := allocation.NewRange(prefix)
		if err != nil {
			return fmt.Errorf("using a range of service addresses: %w", err)
		}
		if i == 0 {
			s.clusterIP = usable.First()
		}
	}
	return nil
}

// rangeObjects are the ServiceCIDRs, which are watched too.
type rangeObjects struct {
	resource.Storage[*networkingv1.ServiceCIDR]
}

// Watch implements allocation.RangeStore.
func (o rangeObjects) Watch(ctx context.Context) (watch.Interface, error) {
	return o.Main.Watch(withNamespace(ctx, ""), &internalversion.ListOptions{ResourceVersion: "0"})
}
