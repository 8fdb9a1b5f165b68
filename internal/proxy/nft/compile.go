package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"viaduct/internal/routing"
)

// A compiled Service is what the kernel has to hold for it.
type compiled struct {
	elements []element // some may be there for other Services too: shared kinds
	classes  []class   // whose chains it needs besides those that are always there
	places   []place   // who sits where, for the next time
	errs     []error   // *routing.FrontendError: what of it cannot be served
}

// errTooMany is the reason of a Frontend with more endpoints than there can be slots.
var errTooMany = errors.New("too many endpoints")

// compile says what the Frontends of one Service are in the kernel. had is who sat where when it was last compiled. The
// Frontends are those of one Service; the same arguments give the same result.
func compile(frontends []routing.Frontend, had []place) compiled {
	c := compiled{}
	for i := range frontends {
		f := &frontends[i]
		if f.Kind == routing.NodePort && f.Addr.IsLoopback() {
			continue // as with kube-proxy's nftables: what is redirected from there would have to leave the loopback
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

// reachable refuses what no connection may be redirected to, whatever the table says: it would reach what listens on
// this host for itself only (CVE-2021-25740 and its kin).
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

// differ reports whether connections from elsewhere need elements of their own.
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

// commentFor names the Service port, as much of it as nft takes.
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

// allow adds who may connect. Ranges that lie in others are left out: the kernel takes none that overlap.
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

// remember adds under which identity the Frontend remembers its clients.
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

// identity is the first place of the Service port that leads to the same backends: all such places share their memory.
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

// distinct drops what stands twice: a backend on this node is one, whichever of the Service's ports it serves.
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

// shared reports whether several Services may ask for the same element.
func (k key) shared() bool {
	return k.set.kind == addresses || k.set.kind == clusterIPs || k.set.kind == local
}
