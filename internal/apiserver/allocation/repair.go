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
	// repairEvery is how often the records are examined; upstream's interval.
	repairEvery = 3 * time.Minute
	// Grace is how long a record that nobody needs is left alone: a request that is under way on some server may be about
	// to. It is longer than a request may take, a minute.
	Grace = 90 * time.Second
	// curesAtOnce bounds the writes in flight.
	curesAtOnce = 16
)

// Repairer compares what Services hold with what is recorded, and makes the records right: those that are missing,
// wrong, or leaked. What only people can put right, two Services with one address, it tells them, as an Event and in
// the log, once. Any number may work over one store.
type Repairer struct {
	a        *Allocator
	services Reader[*corev1.Service]
	events   *Events
	again    chan struct{}
	// Of Pass, which must not run beside itself.
	seen map[string]sighting // records that seem wrong
	told map[string]bool     // findings that were reported
}

// sighting says since when a record of this version has been seen that may be wrong.
type sighting struct {
	version version
	since   time.Time
}

// NewRepairer returns a repairer of what a records.
func NewRepairer(a *Allocator, services Reader[*corev1.Service], events *Events) *Repairer {
	return &Repairer{a: a, services: services, events: events, again: make(chan struct{}, 1), seen: map[string]sighting{},
		told: map[string]bool{}}
}

// Kick makes Run examine the records now.
func (r *Repairer) Kick() {
	select {
	case r.again <- struct{}{}:
	default: // it is about to
	}
}

// Deleted is told of every IPAddress that is deleted. Mostly the Service does not need it any more. If it does, because
// somebody deleted the record of an address that is in use, it is made again at once.
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

// Run makes a pass every three minutes, and when told, until ctx ends.
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
			r.a.log.Warn("repairing the records of cluster addresses and node ports", "err", err)
		}
	}
}

// Pass examines all records once. One that seems wrong is touched only when it has been seen unchanged for as long as
// grace; a grace of 0 is right where nobody else can be writing, as before the only server of a store serves.
func (r *Repairer) Pass(ctx context.Context, grace time.Duration) error {
	s, err := r.snapshot(ctx, grace == 0)
	if err != nil {
		return err
	}
	if len(s.addresses) == 0 && len(s.ports) == 0 && len(s.services) > 0 {
		return r.adopt(ctx, s)
	}
	p := &pass{r: r, grace: grace, seen: map[string]sighting{}, told: map[string]bool{}}
	for owner, ips := range notValid(s.services) {
		p.tell(ctx, addressNotValid, fmt.Sprint(ips), owner, "is no valid address; please recreate the service")
	}
	errs := []error{
		cureAll(ctx, p, r.a.addresses, examineAddresses(s)),
		cureAll(ctx, p, r.a.ports, examinePorts(s)),
	}
	r.seen, r.told = p.seen, p.told
	return errors.Join(errs...)
}

func (r *Repairer) snapshot(ctx context.Context, alone bool) (snapshot, error) {
	age := latest
	if alone {
		age = anyVersion // nobody can have written since the caches were filled
	}
	s := snapshot{nodePorts: r.a.nodePorts, addresses: map[netip.Addr]*record{}}
	var err error
	if s.services, err = r.services.List(ctx, age); err != nil {
		return s, fmt.Errorf("reading the services: %w", err)
	}
	ips, err := r.a.addresses.store.List(ctx, age)
	if err != nil {
		return s, fmt.Errorf("reading the addresses held: %w", err)
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
		return s, fmt.Errorf("reading the service CIDRs: %w", err)
	}
	for _, cidr := range cidrs {
		s.ranges = append(s.ranges, rangesOf(cidr)...)
	}
	return s, nil
}

// adopt makes the records for a store that has none: its Services were written by a version that kept them in memory.
// That is nothing to be alarmed about, so it is logged in one line.
func (r *Repairer) adopt(ctx context.Context, s snapshot) error {
	r.a.log.Info("recording what the stored services hold", "services", len(s.services))
	quiet := &pass{r: r, quiet: true, seen: map[string]sighting{}, told: map[string]bool{}}
	return errors.Join(
		cureAll(ctx, quiet, r.a.addresses, examineAddresses(s)),
		cureAll(ctx, quiet, r.a.ports, examinePorts(s)),
	)
}

// pass is one pass of a Repairer.
type pass struct {
	r     *Repairer
	grace time.Duration
	quiet bool // what is missing is no news

	mu   sync.Mutex // guards what follows
	seen map[string]sighting
	told map[string]bool
}

// isSure says that a wrong record is no longer one that a request under way may need, and remembers that it was seen.
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

// tell reports a finding about a Service or, if there is none, about the record of what is named.
func (p *pass) tell(ctx context.Context, reason, what string, about Owner, message string) {
	p.mu.Lock()
	id := reason + " " + what + " " + about.String()
	known := p.r.told[id] || p.told[id]
	p.told[id] = true
	p.mu.Unlock()
	if known || p.quiet && reason != addressAlreadyAllocated && reason != portAlreadyAllocated {
		return
	}
	p.r.a.log.Warn("records of cluster addresses and node ports", "finding", reason, "what", what, "service",
		about.String(), "detail", message)
	switch reason {
	case portLeaked:
		return // there is no object to tell it of
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

// needs reads from the store whether a Service holds key now.
func needs[K comparable](ctx context.Context, p *pass, owner Owner, key K) (bool, error) {
	if owner.Name == "" {
		return false, nil // the record could not be read
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
