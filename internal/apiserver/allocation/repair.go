package allocation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// repairEvery is the time between two passes; upstream's interval.
	repairEvery = 3 * time.Minute
	// Grace is how long a record without a Service is left alone, since a request on some server may be about to write the
	// Service. It is longer than the longest request, one minute.
	Grace = 90 * time.Second
	// repairsAtOnce bounds the concurrent writes.
	repairsAtOnce = 16
)

// Repairer compares what Services hold with the records, and corrects records that are missing, wrong or leaked. It
// reports what only an administrator can correct, such as two Services with one address, once by an Event and in the
// log. Any number of repairers may work over one store.
type Repairer struct {
	a        *Allocator
	services Reader[*corev1.Service]
	events   *Events
	again    chan struct{}
	// Used by Pass only, which must not run twice at a time.
	seen     map[string]sighting // records that may be wrong
	reported map[string]bool     // the findings of the previous pass
}

// sighting says since when a record that may be wrong has had this version.
type sighting struct {
	version version
	since   time.Time
}

// NewRepairer returns a repairer for the records of a.
func NewRepairer(a *Allocator, services Reader[*corev1.Service], events *Events) *Repairer {
	return &Repairer{a: a, services: services, events: events, again: make(chan struct{}, 1), seen: map[string]sighting{},
		reported: map[string]bool{}}
}

// Kick makes Run start a pass now.
func (r *Repairer) Kick() {
	select {
	case r.again <- struct{}{}:
	default: // a pass is due already
	}
}

// Deleted must be called for every IPAddress that is deleted. If a Service still holds the address, Deleted kicks a
// pass that creates the record again.
func (r *Repairer) Deleted(ctx context.Context, ip *networkingv1.IPAddress) {
	addr, err := netip.ParseAddr(ip.Name)
	was := recordOf(ip)
	if err != nil || was.foreign {
		return
	}
	svc, err := r.services.Get(ctx, was.owner.Namespace, was.owner.Name, latest)
	if err == nil && was.owner.is(OwnerOf(svc)) && held(svc).addrs.Has(addr) {
		r.Kick()
	}
}

// Run makes a pass every three minutes, and after each Kick, until ctx ends.
func (r *Repairer) Run(ctx context.Context) error {
	tick := time.NewTicker(repairEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-r.again:
		}
		if err := r.Pass(ctx, Grace); err != nil && ctx.Err() == nil {
			r.a.log.Warn("repairing the records of ClusterIPs and node ports", "err", err)
		}
	}
}

// Pass checks all records once. It touches a record that may be wrong only if the record has not changed for grace.
// A grace of 0 is right where no other writer can exist, as before the only server of a store serves requests.
func (r *Repairer) Pass(ctx context.Context, grace time.Duration) error {
	s, err := r.snapshot(ctx, grace == 0)
	if err != nil {
		return err
	}
	if len(s.addresses) == 0 && len(s.ports) == 0 && len(s.services) > 0 {
		return r.adopt(ctx, s)
	}
	p := &pass{r: r, grace: grace, seen: map[string]sighting{}, reported: map[string]bool{}}
	for owner, ips := range notValid(s.services) {
		p.report(ctx, addressNotValid, fmt.Sprint(ips), owner, "is not a valid address; please recreate the service")
	}
	errs := []error{
		repairAll(ctx, p, r.a.addresses, auditAddresses(s)),
		repairAll(ctx, p, r.a.ports, auditPorts(s)),
	}
	r.seen, r.reported = p.seen, p.reported
	return errors.Join(errs...)
}

func (r *Repairer) snapshot(ctx context.Context, alone bool) (snapshot, error) {
	age := latest
	if alone {
		age = anyVersion // no other writer exists, so the caches are current
	}
	s := snapshot{nodePorts: r.a.nodePorts, addresses: map[netip.Addr]*record{}}
	var err error
	if s.services, err = r.services.List(ctx, age); err != nil {
		return s, fmt.Errorf("listing the services: %w", err)
	}
	ips, err := r.a.addresses.store.List(ctx, age)
	if err != nil {
		return s, fmt.Errorf("listing the held addresses: %w", err)
	}
	for _, ip := range ips {
		if addr, err := netip.ParseAddr(ip.Name); err == nil {
			s.addresses[addr] = recordOf(ip)
		}
	}
	if s.ports, err = r.a.ports.all(ctx, false); err != nil {
		return s, err
	}
	cidrs, err := r.a.ranges.List(ctx, anyVersion)
	if err != nil {
		return s, fmt.Errorf("listing the service CIDRs: %w", err)
	}
	for _, cidr := range cidrs {
		s.ranges = append(s.ranges, rangesOf(cidr)...)
	}
	return s, nil
}

// adopt creates the records for a store that has none, since its Services were written by a version that kept the
// records in memory. It logs one line instead of a warning per record.
func (r *Repairer) adopt(ctx context.Context, s snapshot) error {
	r.a.log.Info("recording the allocations of the stored services", "services", len(s.services))
	quiet := &pass{r: r, quiet: true, seen: map[string]sighting{}, reported: map[string]bool{}}
	return errors.Join(
		repairAll(ctx, quiet, r.a.addresses, auditAddresses(s)),
		repairAll(ctx, quiet, r.a.ports, auditPorts(s)),
	)
}

// pass is one pass of a Repairer.
type pass struct {
	r     *Repairer
	grace time.Duration
	quiet bool // missing records are not reported

	mu       sync.Mutex // guards the fields below
	seen     map[string]sighting
	reported map[string]bool
}

// isSure reports whether a wrong record is too old to belong to a request under way. It notes that the record was
// seen.
func (p *pass) isSure(key string, v version) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	before, ok := p.r.seen[key]
	if !ok || before.version != v {
		before = sighting{version: v, since: now}
	}
	p.seen[key] = before
	return now.Sub(before.since) >= p.grace
}

// report writes the log line and the event of a finding. The event is about the Service or, if there is none, about
// the record.
func (p *pass) report(ctx context.Context, reason, what string, about Owner, message string) {
	p.mu.Lock()
	id := reason + " " + what + " " + about.String()
	known := p.r.reported[id] || p.reported[id]
	p.reported[id] = true
	p.mu.Unlock()
	if known || p.quiet && reason != addressAlreadyAllocated && reason != portAlreadyAllocated {
		return
	}
	p.r.a.log.Warn("the record of a ClusterIP or node port is wrong", "finding", reason, "what", what, "service",
		about.String(), "detail", message)
	switch reason {
	case portLeaked:
		return // no object exists that an event could be about
	case addressLeaked, addressMisplaced:
		ref := corev1.ObjectReference{Kind: "IPAddress", APIVersion: networkingv1.SchemeGroupVersion.String(), Name: what}
		p.r.events.warn(ctx, addressController, ref, reason, fmt.Sprintf("IPAddress: %s for Service %s %s", what, about,
			message))
		return
	}
	controller, noun := addressController, "Cluster IP"
	if reason == portNotAllocated || reason == portAlreadyAllocated || reason == portOutOfRange {
		controller, noun = portController, "Port"
	}
	ref := corev1.ObjectReference{Kind: "Service", APIVersion: "v1", Namespace: about.Namespace, Name: about.Name,
		UID: about.UID}
	p.r.events.warn(ctx, controller, ref, reason, fmt.Sprintf("%s %s %s", noun, what, message))
}

// holds reads from the store and reports whether a Service holds key now.
func holds[K comparable](ctx context.Context, p *pass, owner Owner, key K) (bool, error) {
	if owner.Name == "" {
		return false, nil // the record cannot be decoded
	}
	svc, err := p.r.services.Get(ctx, owner.Namespace, owner.Name, latest)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading the service %s: %w", owner, err)
	case !owner.is(OwnerOf(svc)):
		return false, nil
	}
	h := held(svc)
	switch k := any(key).(type) {
	case netip.Addr:
		return h.addrs.Has(k), nil
	case int32:
		return h.ports.Has(k), nil
	}
	return false, nil
}
