package nft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"viaduct/internal/nftables"
	"viaduct/internal/proxy/conntrack"
	"viaduct/internal/routing"
)

// Options configure a Backend. The zero Options are enough for a host without Pods of its own.
type Options struct {
	Pods []netip.Prefix // the Pod ranges of this node: connections from these addresses start on this node
	Log  *slog.Logger   // nil: no logs
}

// A Backend keeps the kernel's tables equal to a routing.Table. It implements proxy.Backend.
type Backend struct {
	opts    Options
	metrics metrics
	conn    *nftables.Conn
	lock    *hostLock
	// monitor receives the changes that other processes make to the tables. Only Watch uses it.
	monitor *nftables.Monitor

	// The fields below describe the content of the kernel. doubt means that they may be wrong, so the next Sync reads
	// the kernel first.
	doubt     bool
	skeletons map[nftables.Family]*skeleton
	applied   map[routing.Name]*applied
	last      *routing.Table // the table of the last Sync; nil: none was applied yet
	pods      []netip.Prefix
	refs      map[key]int // how many Services use each shared element
	stats     Stats
}

// applied is the part of one Service in the kernel.
type applied struct {
	frontends []routing.Frontend
	places    []place
}

// New makes a Backend for the network namespace of the calling thread. An existing table stays as it is until the first
// Sync. New fails with EPERM if the process may not program nftables, and with ErrHeld if another process programs the
// Services of this host.
func New(opts Options) (*Backend, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	lock, err := lockHost()
	if err != nil {
		return nil, err
	}
	conn, err := nftables.Open()
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	monitor, err := nftables.NewMonitor(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close(), lock.release())
	}
	b := &Backend{opts: opts, metrics: newMetrics(), conn: conn, lock: lock, monitor: monitor, doubt: true}
	if err := b.probe(); err != nil {
		return nil, errors.Join(err, b.Leave())
	}
	return b, nil
}

// SetPods sets the Pod ranges of this node that are used besides those of the Options. It implements proxy.PodAware.
func (b *Backend) SetPods(list []netip.Prefix) {
	b.pods = list
	b.doubt = true
}

// podRanges are the Pod ranges of this node in one family, sorted. A range inside another range is left out.
func (b *Backend) podRanges(f nftables.Family) (list []netip.Prefix) {
	all := slices.Concat(b.opts.Pods, b.pods)
	for i, p := range all {
		inside := func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) }
		later := func(o netip.Prefix) bool { return o.Bits() < p.Bits() && o.Contains(p.Addr()) }
		if nftables.FamilyOf(p.Addr()) == f && !slices.ContainsFunc(all[:i], inside) && !slices.ContainsFunc(all[i+1:],
			later) {
			list = append(list, p.Masked())
		}
	}
	slices.SortFunc(list, netip.Prefix.Compare)
	return list
}

// probe lists the tables. The kernel allows this only to a process that may program them.
func (b *Backend) probe() error {
	if _, err := readTable(b.conn, nftables.IPv4); err != nil {
		return fmt.Errorf("looking whether nftables can be programmed: %w", err)
	}
	return nil
}

// Sync makes the tables in the kernel equal to t. changed names the Services that may differ from the last Sync. With
// nil, Sync reads the whole content of the kernel and compares it. It implements proxy.Backend.
func (b *Backend) Sync(ctx context.Context, t *routing.Table, changed []routing.Name) error {
	if b.conn == nil {
		return errors.New("the nftables backend has been closed")
	}
	if changed == nil || b.doubt {
		return b.finish(ctx, t, nil, b.renew(ctx, t))
	}
	err := b.update(t, changed)
	if err != nil && stale(err) {
		b.opts.Log.WarnContext(ctx, "the kernel's table is not as it was left, reading it", "err", err)
		return b.finish(ctx, t, nil, b.renew(ctx, t))
	}
	return b.finish(ctx, t, changed, err)
}

// finish removes the UDP conntrack entries that lead to other backends than t. It does nothing if err contains more
// than FrontendErrors, because then t was not applied.
func (b *Backend) finish(ctx context.Context, t *routing.Table, changed []routing.Name, err error) error {
	if _, other := routing.Split(err); other != nil {
		return err
	}
	before := b.last
	if before == nil {
		before, changed = &routing.Table{}, nil
	}
	b.last = t
	began := time.Now()
	n, e := conntrack.Clean(ctx, before, t, changed)
	b.metrics.cleaned.Observe(time.Since(began).Seconds())
	b.metrics.forgotten.Add(float64(n))
	if n > 0 {
		b.opts.Log.DebugContext(ctx, "stale UDP flows were deleted", "number", n)
	}
	if e != nil { // the tables are correct, so this is no error of Sync
		b.last = nil // the next Sync checks all conntrack entries
		b.opts.Log.WarnContext(ctx, "stale UDP conversations may go on", "err", e)
	}
	return err
}

// stale reports whether err means that the content of the kernel differs from the fields of the Backend.
func stale(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY)
}

// update writes the differences of the changed Services.
func (b *Backend) update(t *routing.Table, changed []routing.Name) error {
	w := newWriter(b.conn)
	var next []change
	for _, name := range changed {
		c := b.prepare(name, b.served(t, name))
		next = append(next, c)
		if err := b.write(w, c); err != nil {
			b.doubt = true
			return err
		}
	}
	if err := w.flush(); err != nil {
		b.doubt = true
		return err
	}
	b.stats.add(w.stats)
	var errs []error
	for _, c := range next {
		errs = append(errs, c.errs...)
		if err := w.failed[c.name]; err != nil {
			b.doubt = true // refs may be wrong: the Service counted in the elements that it shares with others
			errs = append(errs, c.refused(err))
			continue
		}
		b.settle(c)
	}
	return errors.Join(errs...)
}

// A change is the pending update of one Service.
type change struct {
	name      routing.Name
	frontends []routing.Frontend
	compiled
	ops    []op
	unused []class // classes that the applied state uses and the new state does not
}

// refused returns the FrontendError for a Service whose change the kernel refused as a whole.
func (c change) refused(err error) error {
	f := &routing.FrontendError{Service: c.name, Err: err}
	if len(c.frontends) > 0 {
		f.Key, f.Service = c.frontends[0].Key, c.frontends[0].Service
	}
	return f
}

// prepare computes the change of a Service.
func (b *Backend) prepare(name routing.Name, frontends []routing.Frontend) change {
	old := b.applied[name]
	if old == nil {
		old = &applied{}
	}
	c := change{name: name, frontends: frontends, compiled: compile(frontends, old.places)}
	before := compile(old.frontends, old.places)
	c.ops = b.count(diff(before.elements, c.elements))
	c.unused = slices.DeleteFunc(before.classes, func(one class) bool { return slices.Contains(c.classes, one) })
	return c
}

// count updates refs for the shared elements of ops. It drops the ops on shared elements that other Services use too.
func (b *Backend) count(ops []op) []op {
	return slices.DeleteFunc(ops, func(o op) bool {
		if !o.shared() {
			return false
		}
		if o.verb == add {
			b.refs[o.key]++
			return b.refs[o.key] > 1
		}
		b.refs[o.key]--
		if b.refs[o.key] > 0 {
			return true
		}
		delete(b.refs, o.key)
		return false
	})
}

// write adds a change to w. The chains that the change needs come before it, and unused chains are removed after it.
func (b *Backend) write(w *writer, c change) error {
	for _, f := range families {
		if k := b.skeletons[f]; k != nil && c.uses(f) {
			for _, m := range k.grow(c.classes) {
				w.message(routing.Name{}, m)
			}
		}
	}
	if err := w.service(c.name, c.ops); err != nil {
		return err
	}
	for _, k := range b.skeletons {
		for _, m := range k.shrink(c.unused) {
			w.message(c.name, m)
		}
	}
	return nil
}

func (c change) uses(f nftables.Family) bool {
	return len(c.classes) > 0 && slices.ContainsFunc(c.frontends,
		func(one routing.Frontend) bool { return nftables.FamilyOf(one.Addr) == f })
}

func (b *Backend) settle(c change) {
	if len(c.frontends) == 0 {
		delete(b.applied, c.name)
		return
	}
	b.applied[c.name] = &applied{c.frontends, c.places}
}

// renew reads the content of the kernel and writes the differences from t.
func (b *Backend) renew(ctx context.Context, t *routing.Table) error {
	b.doubt = true
	b.skeletons, b.applied, b.refs = map[nftables.Family]*skeleton{}, map[routing.Name]*applied{}, map[key]int{}
	have := newKernel()
	for _, f := range families {
		k, err := raise(b.conn, f)
		if f == nftables.IPv6 && without(err) {
			b.opts.Log.DebugContext(ctx, "this kernel has no nftables for IPv6, so IPv6 addresses are not served", "err", err)
			continue
		}
		if err != nil {
			return err
		}
		b.skeletons[f] = k
		if err := readElements(b.conn, f, k, have); err != nil {
			return err
		}
	}
	return b.replace(ctx, t, have)
}

// without reports whether err means that the kernel has no support for a family.
func without(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.ENOENT)
}

// served are the Frontends of a Service in the families that the kernel supports.
func (b *Backend) served(t *routing.Table, name routing.Name) []routing.Frontend {
	return slices.DeleteFunc(t.Of(name),
		func(f routing.Frontend) bool { return b.skeletons[nftables.FamilyOf(f.Addr)] == nil })
}

// replace writes the differences between t and have, and removes the elements of have that t does not need.
func (b *Backend) replace(ctx context.Context, t *routing.Table, have *kernel) error {
	w := newWriter(b.conn)
	var errs []error
	var all []change
	b.writePods(w, have)
	used := map[class]bool{}
	for _, name := range t.Services() {
		frontends := b.served(t, name)
		c := change{name: name, frontends: frontends, compiled: compile(frontends, have.places(frontends))}
		c.ops = have.differs(c.elements, b.refs)
		c.elements = nil // saves memory: there may be very many Services
		for _, one := range c.classes {
			used[one] = true
		}
		if err := b.write(w, c); err != nil {
			return err
		}
		c.ops = nil
		all = append(all, c)
	}
	if err := w.service(routing.Name{}, have.leftover()); err != nil {
		return err
	}
	b.dropUnused(w, used)
	if err := w.flush(); err != nil {
		return err
	}
	b.stats.add(w.stats)
	b.doubt = len(w.failed) > 0
	for _, c := range all {
		errs = append(errs, c.errs...)
		if err := w.failed[c.name]; err != nil {
			errs = append(errs, c.refused(err))
			continue
		}
		b.settle(c)
	}
	b.opts.Log.DebugContext(ctx, "the kernel's table was compared as a whole", "services", len(all), "written",
		w.stats.Elements)
	return errors.Join(errs...)
}

// dropUnused removes the chains that serve one address and port only (round-robin) and that no Service needs.
func (b *Backend) dropUnused(w *writer, used map[class]bool) {
	for _, k := range b.skeletons {
		var unused []class
		for _, all := range []map[class]bool{k.classes, k.known} {
			for c := range all {
				if !used[c] && !slices.Contains(unused, c) {
					unused = append(unused, c)
				}
			}
		}
		for _, m := range k.shrink(unused) {
			w.message(routing.Name{}, m)
		}
	}
}

// writePods makes the set pods equal to podRanges.
func (b *Backend) writePods(w *writer, have *kernel) {
	for f := range b.skeletons {
		var want []op
		for _, p := range b.podRanges(f) {
			want = append(want, op{add, element{key: key{set: setID{kind: pods}, from: p}}})
		}
		same := slices.EqualFunc(want, have.pods[f], func(o op, p netip.Prefix) bool { return o.from == p })
		if same {
			continue
		}
		w.message(routing.Name{}, tableOf(f).FlushSet(setID{kind: pods}.name()))
		if len(want) > 0 {
			w.message(routing.Name{}, addElements(want))
		}
	}
}

// Stats counts the writes since New.
func (b *Backend) Stats() Stats { return b.stats }

// Leave ends the Backend and keeps the tables: the kernel serves connections until the tables are removed.
func (b *Backend) Leave() error {
	if b.conn == nil {
		return nil
	}
	err := errors.Join(b.conn.Close(), b.monitor.Close(), b.lock.release())
	b.conn = nil
	return err
}

// Close removes the tables and ends the Backend. It implements proxy.Backend.
func (b *Backend) Close() error {
	if b.conn == nil {
		return nil
	}
	return errors.Join(removeTables(b.conn), b.Leave())
}
