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

// RangeStore is what a RangeKeeper does with ServiceCIDR objects.
type RangeStore interface {
	Store[*networkingv1.ServiceCIDR]
	// Update has change edit the latest version of an object, and UpdateStatus its status alone.
	Update(ctx context.Context, namespace, name string, change func(*networkingv1.ServiceCIDR)) error
	UpdateStatus(ctx context.Context, namespace, name string, change func(*networkingv1.ServiceCIDR)) error
	// Watch tells of every change, beginning with what there is.
	Watch(ctx context.Context) (watch.Interface, error)
}

// protection is the finalizer by which a ServiceCIDR outlives the addresses that came from it; upstream's.
const protection = "networking.k8s.io/service-cidr-finalizer"

const (
	// lookAgain is how often the ServiceCIDRs are looked at whatever happens; upstream's interval.
	lookAgain = 10 * time.Second
	// settle is how long a ServiceCIDR is kept after its deletion was asked for: by then every server has heard of it, and
	// takes no more addresses from it. Upstream's.
	settle = 10 * time.Second
)

// RangeKeeper sees to the ServiceCIDR objects: it makes that of the server's own ranges, says of each whether it can be
// used, and ends those that are deleted once no address needs them. Any number may work over one store: they do the
// same.
type RangeKeeper struct {
	own       []netip.Prefix // the primary first
	ranges    RangeStore
	addresses Reader[*networkingv1.IPAddress]
	events    *Events
	log       *slog.Logger
	differs   bool // that the stored ranges are not our own was told
}

// NewRangeKeeper returns a keeper; own are the server's own ranges, one of each family at most, the primary first.
func NewRangeKeeper(own []netip.Prefix, ranges RangeStore, addresses Reader[*networkingv1.IPAddress], events *Events,
	log *slog.Logger) *RangeKeeper {
	return &RangeKeeper{own: own, ranges: ranges, addresses: addresses, events: events, log: log}
}

// Ensure makes the ServiceCIDR of the server's own ranges, if it is not there, and gives it the second family, if it
// has only the first. When it returns, the store's cache shows it. It must not run beside Run.
func (k *RangeKeeper) Ensure(ctx context.Context) error {
	stored, err := k.ranges.Get(ctx, "", DefaultServiceCIDR, latest)
	if apierrors.IsNotFound(err) {
		stored, err = k.ranges.Create(ctx, k.fromOwn())
		if apierrors.IsAlreadyExists(err) { // another server was faster
			stored, err = k.ranges.Get(ctx, "", DefaultServiceCIDR, latest)
		}
	}
	if err != nil {
		return fmt.Errorf("making the service CIDR %s: %w", DefaultServiceCIDR, err)
	}
	if err := k.agree(ctx, stored); err != nil {
		return err
	}
	if _, err := k.ranges.Get(ctx, "", DefaultServiceCIDR, stored.ResourceVersion); err != nil {
		return fmt.Errorf("reading the service CIDR %s: %w", DefaultServiceCIDR, err)
	}
	return nil
}

func (k *RangeKeeper) fromOwn() *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: DefaultServiceCIDR}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: k.wanted()},
	}
}

func (k *RangeKeeper) wanted() []string {
	var cidrs []string
	for _, prefix := range k.own {
		cidrs = append(cidrs, prefix.Masked().String())
	}
	return cidrs
}

// agree makes the stored ranges the server's own where that is possible, and tells once where it is not: a range that
// addresses came from cannot be exchanged.
func (k *RangeKeeper) agree(ctx context.Context, stored *networkingv1.ServiceCIDR) error {
	want := k.wanted()
	switch {
	case slices.Equal(stored.Spec.CIDRs, want):
		k.differs = false
		return nil
	case len(stored.Spec.CIDRs) == 1 && len(want) == 2 && stored.Spec.CIDRs[0] == want[0]:
		err := k.ranges.Update(ctx, "", stored.Name, func(c *networkingv1.ServiceCIDR) { c.Spec.CIDRs = want })
		if err != nil {
			return fmt.Errorf("giving the service CIDR %s a second family: %w", stored.Name, err)
		}
		return nil
	case !k.differs:
		k.differs = true
		k.log.Warn("the ranges of this server are not those that the store was begun with, which stay in use",
			"own", strings.Join(want, ","), "stored", strings.Join(stored.Spec.CIDRs, ","))
		k.events.warn(ctx, rangeController, reference("ServiceCIDR", networkingv1.SchemeGroupVersion.String(), stored),
			"KubernetesDefaultServiceCIDRInconsistent",
			fmt.Sprintf("The default ServiceCIDR %v does not match the flag configurations %v", stored.Spec.CIDRs, want))
	}
	return nil
}

// Run keeps the ServiceCIDRs until ctx ends: at each change, and every ten seconds.
func (k *RangeKeeper) Run(ctx context.Context) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	var changes watch.Interface
	defer func() { stop(changes) }()
	for ctx.Err() == nil {
		if changes == nil {
			changes = k.watch(ctx)
		}
		if err := k.keep(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("keeping the service CIDRs", "err", err)
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

// watch returns nil if that is not possible now; then the ticks must do.
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

// keep does what there is to do for each ServiceCIDR.
func (k *RangeKeeper) keep(ctx context.Context) error {
	errs := []error{k.Ensure(ctx)}
	all, err := k.ranges.List(ctx, anyVersion)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, cidr := range all {
		if cidr.DeletionTimestamp != nil {
			errs = append(errs, k.end(ctx, cidr, all))
		} else {
			errs = append(errs, k.open(ctx, cidr))
		}
	}
	return errors.Join(errs...)
}

// open makes sure that cidr does not go too early, and that it says that it can be used.
func (k *RangeKeeper) open(ctx context.Context, cidr *networkingv1.ServiceCIDR) error {
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
	return k.say(ctx, cidr, metav1.Condition{
		Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue,
		Message: "Kubernetes Service CIDR is ready",
	})
}

// end lets go of a deleted cidr when no address needs it.
func (k *RangeKeeper) end(ctx context.Context, cidr *networkingv1.ServiceCIDR, all []*networkingv1.ServiceCIDR) error {
	if !slices.Contains(cidr.Finalizers, protection) {
		return nil // somebody else's finalizer holds it
	}
	held, err := k.addresses.List(ctx, latest)
	if err != nil {
		return fmt.Errorf("reading the addresses held: %w", err)
	}
	if orphan, found := orphanOf(cidr, all, held); found {
		return k.say(ctx, cidr, metav1.Condition{
			Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionFalse,
			Reason:  networkingv1.ServiceCIDRReasonTerminating,
			Message: fmt.Sprintf("addresses are held that are in no other ServiceCIDR, %s among them", orphan),
		})
	}
	if time.Since(cidr.DeletionTimestamp.Time) < settle {
		return nil // the next tick will see to it
	}
	err = k.ranges.Update(ctx, "", cidr.Name, func(c *networkingv1.ServiceCIDR) {
		c.Finalizers = slices.DeleteFunc(slices.Clone(c.Finalizers), func(f string) bool { return f == protection })
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("ending the service CIDR %s: %w", cidr.Name, err)
	}
	return nil
}

// say sets a condition that has changed.
func (k *RangeKeeper) say(ctx context.Context, cidr *networkingv1.ServiceCIDR, condition metav1.Condition) error {
	conditions := slices.Clone(cidr.Status.Conditions)
	if !meta.SetStatusCondition(&conditions, condition) {
		return nil
	}
	err := k.ranges.UpdateStatus(ctx, "", cidr.Name, func(c *networkingv1.ServiceCIDR) {
		meta.SetStatusCondition(&c.Status.Conditions, condition)
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("saying whether the service CIDR %s can be used: %w", cidr.Name, err)
	}
	return nil
}

// orphanOf returns an address of a Service that would be in no ServiceCIDR without cidr. One that is being deleted,
// too, does not count.
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
		if err == nil && !recordOf(ip).unmanaged && within(own, addr) && !within(others, addr) {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

func within(ranges []Range, addr netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(r Range) bool { return r.contains(addr) })
}

// reference says which object an event is about.
func reference(kind, apiVersion string, obj metav1.Object) corev1.ObjectReference {
	return corev1.ObjectReference{
		Kind: kind, APIVersion: apiVersion, Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: obj.GetUID(),
		ResourceVersion: obj.GetResourceVersion(),
	}
}
