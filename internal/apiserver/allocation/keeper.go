package allocation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// RangeStore is the access of a RangeKeeper to ServiceCIDR objects.
type RangeStore interface {
	Store[*networkingv1.ServiceCIDR]
	// Update applies change to the latest version of an object, UpdateStatus to its status only.
	Update(ctx context.Context, namespace, name string, change func(*networkingv1.ServiceCIDR)) error
	UpdateStatus(ctx context.Context, namespace, name string, change func(*networkingv1.ServiceCIDR)) error
	// Watch sends every change, beginning with the existing objects.
	Watch(ctx context.Context) (watch.Interface, error)
}

// protection is the finalizer that keeps a ServiceCIDR while Services hold its addresses; upstream's name.
const protection = "networking.k8s.io/service-cidr-finalizer"

const (
	// resyncInterval is the time between passes without a change; upstream's interval.
	resyncInterval = 10 * time.Second
	// deletionDelay is how long a deleted ServiceCIDR is kept. After this time every server has seen the deletion and
	// allocates no more addresses from it. Upstream's value.
	deletionDelay = 10 * time.Second
)

// RangeKeeper maintains the ServiceCIDR objects: it creates the one of the server's own ranges, sets the Ready
// condition of each, and releases deleted ones once no address needs them. Any number of keepers may work over one
// store; all of them do the same.
type RangeKeeper struct {
	own       []netip.Prefix // the primary first
	ranges    RangeStore
	addresses Reader[*networkingv1.IPAddress]
	events    *Events
	log       *slog.Logger
	warned    bool // the difference between own and stored ranges was reported
}

// NewRangeKeeper returns a keeper. own are the server's own ranges, at most one of each family, the primary first.
func NewRangeKeeper(own []netip.Prefix, ranges RangeStore, addresses Reader[*networkingv1.IPAddress], events *Events,
	log *slog.Logger) *RangeKeeper {
	return &RangeKeeper{own: own, ranges: ranges, addresses: addresses, events: events, log: log}
}

// Ensure creates the ServiceCIDR of the server's own ranges if it does not exist, and adds the second family if it
// has only the first. When Ensure returns, the cache of the store has the object. It must not run beside Run.
func (k *RangeKeeper) Ensure(ctx context.Context) error {
	stored, err := k.ranges.Get(ctx, "", DefaultServiceCIDR, latest)
	if apierrors.IsNotFound(err) {
		stored, err = k.ranges.Create(ctx, k.defaultCIDR())
		if apierrors.IsAlreadyExists(err) { // another server created it first
			stored, err = k.ranges.Get(ctx, "", DefaultServiceCIDR, latest)
		}
	}
	if err != nil {
		return fmt.Errorf("creating the service CIDR %s: %w", DefaultServiceCIDR, err)
	}
	if err := k.reconcileDefault(ctx, stored); err != nil {
		return err
	}
	if _, err := k.ranges.Get(ctx, "", DefaultServiceCIDR, stored.ResourceVersion); err != nil {
		return fmt.Errorf("reading the service CIDR %s: %w", DefaultServiceCIDR, err)
	}
	return nil
}

func (k *RangeKeeper) defaultCIDR() *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: DefaultServiceCIDR}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: k.cidrs()},
	}
}

func (k *RangeKeeper) cidrs() []string {
	var cidrs []string
	for _, prefix := range k.own {
		cidrs = append(cidrs, prefix.Masked().String())
	}
	return cidrs
}

// reconcileDefault adds the second family to the stored ranges where that is possible. Other differences are
// reported once, since a range cannot be replaced while addresses come from it.
func (k *RangeKeeper) reconcileDefault(ctx context.Context, stored *networkingv1.ServiceCIDR) error {
	want := k.cidrs()
	switch {
	case slices.Equal(stored.Spec.CIDRs, want):
		k.warned = false
		return nil
	case len(stored.Spec.CIDRs) == 1 && len(want) == 2 && stored.Spec.CIDRs[0] == want[0]:
		err := k.ranges.Update(ctx, "", stored.Name, func(c *networkingv1.ServiceCIDR) { c.Spec.CIDRs = want })
		if err != nil {
			return fmt.Errorf("giving the service CIDR %s a second family: %w", stored.Name, err)
		}
		return nil
	case !k.warned:
		k.warned = true
		k.log.Warn("the ranges of this server differ from the stored ones, which stay in use",
			"own", strings.Join(want, ","), "stored", strings.Join(stored.Spec.CIDRs, ","))
		k.events.warn(ctx, rangeController, reference("ServiceCIDR", networkingv1.SchemeGroupVersion.String(), stored),
			"KubernetesDefaultServiceCIDRInconsistent",
			fmt.Sprintf("The default ServiceCIDR %v does not match the flag configurations %v", stored.Spec.CIDRs, want))
	}
	return nil
}

// Run maintains the ServiceCIDRs until ctx ends: after each change, and every ten seconds.
func (k *RangeKeeper) Run(ctx context.Context) error {
	tick := time.NewTicker(resyncInterval)
	defer tick.Stop()
	var changes watch.Interface
	defer func() { stop(changes) }()
	for ctx.Err() == nil {
		if changes == nil {
			changes = k.watch(ctx)
		}
		if err := k.keep(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("reconciling the service CIDRs", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case _, open := <-resultsOf(changes):
			if !open {
				stop(changes)
				changes = nil
			}
		}
	}
	return ctx.Err()
}

// watch returns nil if a watch cannot be opened now; then the ticks alone cause passes.
func (k *RangeKeeper) watch(ctx context.Context) watch.Interface {
	changes, err := k.ranges.Watch(ctx)
	if err != nil {
		if ctx.Err() == nil {
			k.log.Warn("watching the service CIDRs", "err", err)
		}
		return nil
	}
	return changes
}

func resultsOf(w watch.Interface) <-chan watch.Event {
	if w == nil {
		return nil
	}
	return w.ResultChan()
}

func stop(w watch.Interface) {
	if w != nil {
		w.Stop()
	}
}

// keep makes one pass over all ServiceCIDRs.
func (k *RangeKeeper) keep(ctx context.Context) error {
	errs := []error{k.Ensure(ctx)}
	all, err := k.ranges.List(ctx, anyVersion)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, cidr := range all {
		if cidr.DeletionTimestamp != nil {
			errs = append(errs, k.release(ctx, cidr, all))
		} else {
			errs = append(errs, k.markReady(ctx, cidr))
		}
	}
	return errors.Join(errs...)
}

// markReady adds the finalizer to cidr and sets its Ready condition.
func (k *RangeKeeper) markReady(ctx context.Context, cidr *networkingv1.ServiceCIDR) error {
	if !slices.Contains(cidr.Finalizers, protection) {
		err := k.ranges.Update(ctx, "", cidr.Name, func(c *networkingv1.ServiceCIDR) {
			if c.DeletionTimestamp == nil && !slices.Contains(c.Finalizers, protection) {
				c.Finalizers = append(c.Finalizers, protection)
			}
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("protecting the service CIDR %s: %w", cidr.Name, err)
		}
	}
	return k.setCondition(ctx, cidr, metav1.Condition{
		Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue,
		Message: "Kubernetes Service CIDR is ready",
	})
}

// release removes the finalizer of a deleted cidr once no address needs it.
func (k *RangeKeeper) release(ctx context.Context, cidr *networkingv1.ServiceCIDR,
	all []*networkingv1.ServiceCIDR) error {
	if !slices.Contains(cidr.Finalizers, protection) {
		return nil // only other finalizers are left
	}
	held, err := k.addresses.List(ctx, latest)
	if err != nil {
		return fmt.Errorf("reading the addresses held: %w", err)
	}
	if orphan, found := orphanOf(cidr, all, held); found {
		return k.setCondition(ctx, cidr, metav1.Condition{
			Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionFalse,
			Reason:  networkingv1.ServiceCIDRReasonTerminating,
			Message: fmt.Sprintf("Services hold addresses that are in no other ServiceCIDR, such as %s", orphan),
		})
	}
	if time.Since(cidr.DeletionTimestamp.Time) < deletionDelay {
		return nil // the next pass releases it
	}
	err = k.ranges.Update(ctx, "", cidr.Name, func(c *networkingv1.ServiceCIDR) {
		c.Finalizers = slices.DeleteFunc(slices.Clone(c.Finalizers), func(f string) bool { return f == protection })
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("releasing the service CIDR %s: %w", cidr.Name, err)
	}
	return nil
}

// setCondition writes a condition if it has changed.
func (k *RangeKeeper) setCondition(ctx context.Context, cidr *networkingv1.ServiceCIDR,
	condition metav1.Condition) error {
	conditions := slices.Clone(cidr.Status.Conditions)
	if !meta.SetStatusCondition(&conditions, condition) {
		return nil
	}
	err := k.ranges.UpdateStatus(ctx, "", cidr.Name, func(c *networkingv1.ServiceCIDR) {
		meta.SetStatusCondition(&c.Status.Conditions, condition)
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("updating the Ready condition of the service CIDR %s: %w", cidr.Name, err)
	}
	return nil
}

// orphanOf returns an address of a Service that would be in no ServiceCIDR without cidr. Other ServiceCIDRs that are
// being deleted do not count.
func orphanOf(cidr *networkingv1.ServiceCIDR, all []*networkingv1.ServiceCIDR, held []*networkingv1.IPAddress) (
	netip.Addr, bool) {
	var others []Range
	for _, other := range all {
		if other.Name != cidr.Name && other.DeletionTimestamp == nil {
			others = append(others, rangesOf(other)...)
		}
	}
	own := rangesOf(cidr)
	for _, ip := range held {
		addr, err := netip.ParseAddr(ip.Name)
		if err == nil && !recordOf(ip).unmanaged && inAny(own, addr) && !inAny(others, addr) {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

func inAny(ranges []Range, addr netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(r Range) bool { return r.contains(addr) })
}

// reference returns the object that an event is about.
func reference(kind, apiVersion string, obj metav1.Object) corev1.ObjectReference {
	return corev1.ObjectReference{
		Kind: kind, APIVersion: apiVersion, Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: obj.GetUID(),
		ResourceVersion: obj.GetResourceVersion(),
	}
}
