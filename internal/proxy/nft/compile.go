package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"viaduct/internal/routing"
)

// compiled is the content that one Service needs in the kernel.
type compiled struct {
	elements []element // other Services may need the same elements of the shared kinds
	classes  []class   // the classes that it needs besides those that are always in the table
	places   []place   // the backend of each slot, for the next compile
	errs     []error   // *routing.FrontendError: the Frontends that cannot be served
}

// errTooMany is the error of a Frontend with more endpoints than maxSlots.
var errTooMany = errors.New("too many endpoints")

// compile computes the kernel content for the Frontends of one Service. had holds the backend of each slot from the
// last compile. The same arguments give the same result.
func compile(frontends []routing.Frontend, had []place) compiled {
	c := compiled{}
	for i := range frontends {
		f := &frontends[i]
		if f.Kind == routing.NodePort && f.Addr.IsLoopback() {
			continue // as in kube-proxy's nftables mode: a redirected packet would have to leave the loopback interface
		}
		if err := servable(f); err != nil {
			c.errs = append(c.errs, &routing.FrontendError{Key: f.Key, Service: f.Service, Err: err})
			continue
		}
		c.frontend(f, frontends, had)
	}
	c.elements = distinct(c.elements)
	return c
}

func servable(f *routing.Frontend) error {
	if f.Addr.IsLoopback() {
		return fmt.Errorf("%w by nftables: connections cannot be redirected from a loopback address", errors.ErrUnsupported)
	}
	for _, p := range []routing.Pool{f.Inside, f.Outside} {
		if len(p.Backends) > maxSlots {
			return fmt.Errorf("%w: %d, and the kernel's table holds %d", errTooMany, len(p.Backends), maxSlots)
		}
		for _, b := range p.Backends {
			if err := reachable(b.Addr.Addr()); err != nil {
				return err
			}
			if b.Addr.Addr().Is6() != f.Addr.Is6() {
				return fmt.Errorf("endpoint %s is of the other address family", b.Addr)
			}
		}
	}
	return nil
}

// reachable refuses addresses that no connection may be redirected to, even if the routing table has them. Such a
// connection could reach servers that are open only to this host itself (CVE-2021-25740 and similar attacks).
func reachable(a netip.Addr) error {
	if a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() {
		return fmt.Errorf("endpoint %s is not an address that connections may be redirected to", a)
	}
	return nil
}

func (c *compiled) frontend(f *routing.Frontend, all []routing.Frontend, had []place) {
	d := f.Dest()
	c.add(addresses, routing.Dest{Addr: netip.AddrPortFrom(f.Addr, 0)}, value{})
	if f.Kind == routing.ClusterIP {
		c.add(clusterIPs, routing.Dest{Addr: netip.AddrPortFrom(f.Addr, 0)}, value{})
	}
	c.allow(f)
	c.pool(f, f.Inside, false, had)
	if differ(f.Inside, f.Outside) {
		c.pool(f, f.Outside, true, had)
	}
	if f.Affinity > 0 {
		c.remember(f, all, d)
	}
}

// differ reports whether connections from outside need elements of their own.
func differ(inside, outside routing.Pool) bool {
	if len(inside.Backends) == 0 && len(outside.Backends) == 0 {
		return inside.Empty != outside.Empty
	}
	return !slices.Equal(inside.Backends, outside.Backends)
}

func (c *compiled) add(k kind, d routing.Dest, v value) {
	c.elements = append(c.elements, element{key{set: setID{kind: k}, dest: d}, v})
}

// pool adds the slots of one pool.
func (c *compiled) pool(f *routing.Frontend, p routing.Pool, outside bool, had []place) {
	d := f.Dest()
	in := class{outside: outside, seconds: uint32(f.Affinity.Seconds()), policy: served(f.Policy)}
	if len(p.Backends) == 0 {
		c.add(in.services().kind, d, value{slots: withoutBackends(p.Empty), comment: commentFor(f)})
		return
	}
	seats := arrange(seatsAt(had, d, outside), p.Backends)
	switch in.policy {
	case routing.SourceHash:
		seats = hashed(p.Backends)
	case routing.RoundRobin:
		in.dest = d
	case routing.Random, routing.LeastConnections:
	}
	c.places = append(c.places, place{d, outside, seats})
	in.slots = uint16(len(seats))
	if !in.always() && !slices.Contains(c.classes, in) {
		c.classes = append(c.classes, in)
	}
	c.add(in.services().kind, d, value{slots: in.verdict(), comment: commentFor(f)})
	if in.mapped() {
		c.add(in.chains().kind, d, value{chain: in.chain()})
	}
	for i, who := range seats {
		c.elements = append(c.elements, element{key{set: in.backends(), dest: d, slot: uint32(i)}, value{to: who}})
	}
	for _, b := range p.Backends {
		if b.Local {
			c.add(local, routing.Dest{Addr: netip.AddrPortFrom(b.Addr.Addr(), 0)}, value{})
		}
	}
}

// commentFor is the name of the Service port, cut to the length that nft accepts.
func commentFor(f *routing.Frontend) string {
	text := f.Service.String()
	if len(text) > maxComment {
		text = text[:maxComment-3] + "..."
	}
	return text
}

func withoutBackends(a routing.Action) uint16 {
	if a == routing.Drop {
		return toDrop
	}
	return toReject
}

// allow adds the source ranges that may connect. A range inside another one is left out, because the kernel accepts no
// overlapping ranges.
func (c *compiled) allow(f *routing.Frontend) {
	if len(f.Allow) == 0 {
		return
	}
	d := f.Dest()
	c.add(restricted, d, value{})
	for i, p := range f.Allow {
		inside := func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) }
		if slices.ContainsFunc(f.Allow[:i], inside) || slices.ContainsFunc(f.Allow[i+1:], inside) {
			continue
		}
		c.elements = append(c.elements, element{key: key{set: setID{kind: allowed}, dest: d, from: p.Masked()}})
	}
}

// remember adds the elements of session affinity: the identity of the Frontend, and the backends that are its members.
func (c *compiled) remember(f *routing.Frontend, all []routing.Frontend, d routing.Dest) {
	for _, side := range []struct {
		outside bool
		pool    routing.Pool
	}{{false, f.Inside}, {true, f.Outside}} {
		if len(side.pool.Backends) == 0 || side.outside && !differ(f.Inside, f.Outside) {
			continue
		}
		id := identity(f, all, side.pool)
		set := class{outside: side.outside, seconds: uint32(f.Affinity.Seconds())}.sticky()
		c.elements = append(c.elements, element{key{set: set, dest: d}, value{to: id.Addr}})
		for _, b := range side.pool.Backends {
			c.elements = append(c.elements, element{key: key{set: setID{kind: members}, dest: id, to: b.Addr}})
		}
	}
}

// identity is the first address and port of the Service port that leads to the same backends. All addresses and ports
// with the same identity share the affinity entries.
func identity(f *routing.Frontend, all []routing.Frontend, p routing.Pool) routing.Dest {
	for i := range all {
		o := &all[i]
		same := o.Service == f.Service && o.Proto == f.Proto && o.Addr.Is6() == f.Addr.Is6()
		if same && (slices.Equal(o.Inside.Backends, p.Backends) || slices.Equal(o.Outside.Backends, p.Backends)) {
			return o.Dest()
		}
	}
	return f.Dest()
}

// distinct drops duplicates of shared elements and of members. Several ports of a Service may add the same element, for
// example a backend on this node that serves all of them.
func distinct(all []element) []element {
	seen := make(map[key]bool)
	return slices.DeleteFunc(all, func(e element) bool {
		if !e.shared() && e.set.kind != members {
			return false
		}
		twice := seen[e.key]
		seen[e.key] = true
		return twice
	})
}

// shared reports whether several Services may need the same element.
func (k key) shared() bool {
	return k.set.kind == addresses || k.set.kind == clusterIPs || k.set.kind == local
}
