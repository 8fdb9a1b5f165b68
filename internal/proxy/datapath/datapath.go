// Package datapath chooses what carries the connections of Services on this host: the kernel (package nft) or this
// process (package userspace). It also retires what carried them before: an earlier Viaduct proxy's nftables tables,
// and kube-proxy's rules.
package datapath

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"viaduct/internal/proxy"
	"viaduct/internal/proxy/nft"
	"viaduct/internal/proxy/userspace"
	"viaduct/internal/routing"
)

// The values of Options.Mode.
const (
	Auto      = "auto" // the kernel if the host allows it and the Services have no loopback addresses
	NFT       = "nft"
	Userspace = "userspace"
)

// ModeKernel is kube-proxy's name for a proxy that uses nftables.
const ModeKernel = "nftables"

// Options configure a Backend.
type Options struct {
	Mode string         // Auto, NFT or Userspace
	Pods []netip.Prefix // addresses of this node's Pods, besides those of the Node object
	Keep bool           // Close leaves the kernel's tables in place
	Log  *slog.Logger
}

// A Backend is a proxy.Backend that chooses another one at the first Sync with a Service: the userspace proxy for
// Services with addresses in 127.0.0.0/8, and the kernel for all others. Sync and SetPods are called by one goroutine.
type Backend struct {
	Options
	chosen chan struct{}  // closed once carrier is set
	inner  proxy.Backend  // nil until chosen
	kernel *nft.Backend   // inner, if the kernel was chosen
	pods   []netip.Prefix // of the last SetPods

	retirePending bool // after the next complete Sync, a table of an earlier proxy is retired
	complete      bool // the last Sync applied every Service
}

// New returns a Backend that has made no choice yet. It changes nothing on the host.
func New(o Options) *Backend { return &Backend{Options: o, chosen: make(chan struct{})} }

// Sync implements proxy.Backend.
func (b *Backend) Sync(ctx context.Context, t *routing.Table, changed []routing.Name) error {
	b.complete = false
	if b.inner == nil {
		if err := b.choose(ctx, t); err != nil || b.inner == nil {
			return err
		}
	}
	err := b.inner.Sync(ctx, t, changed)
	if _, other := routing.Split(err); other == nil && b.retirePending {
		b.retirePending = false
		b.retireKernel(ctx)
	}
	b.complete = err == nil
	return err
}

// A choice is what carries connections.
type choice uint8

const (
	undecided         choice = iota // there are no Services, and the mode is Auto
	kernel                          // nft
	userspaceLoopback               // userspace, beside a kernel that may carry other Services
	userspaceOnly                   // userspace, in place of the kernel
)

// decide chooses for a mode and a table.
func decide(mode string, t *routing.Table) choice {
	loopback, known := servesLoopback(t)
	switch {
	case mode == Userspace && known && !loopback:
		return userspaceOnly
	case mode == Userspace || mode == Auto && known && loopback:
		return userspaceLoopback
	case mode == Auto && !known:
		return undecided
	}
	return kernel
}

// servesLoopback reports whether the cluster IPs of t are loopback addresses. known is false if there are none.
func servesLoopback(t *routing.Table) (loopback, known bool) {
	for _, name := range t.Services() {
		for _, f := range t.Of(name) {
			if f.Kind == routing.ClusterIP {
				return f.Addr.IsLoopback(), true
			}
		}
	}
	return false, false
}

func (b *Backend) choose(ctx context.Context, t *routing.Table) (err error) {
	switch decide(b.Mode, t) {
	case undecided:
		return nil
	case kernel:
		err = b.openKernel(ctx)
	case userspaceLoopback:
		b.inner = userspace.New(userspace.Options{Log: b.Log})
	case userspaceOnly:
		b.inner = userspace.New(userspace.Options{Log: b.Log})
		b.retirePending = true
	}
	if b.inner != nil {
		close(b.chosen)
	}
	return err
}

// openKernel uses the kernel. In mode Auto it falls back to the userspace proxy, unless another process has the tables.
func (b *Backend) openKernel(ctx context.Context) error {
	opened, err := nft.New(nft.Options{Pods: b.Pods, Log: b.Log})
	switch {
	case err == nil:
		opened.SetPods(b.pods)
		b.inner, b.kernel = opened, opened
		b.Log.InfoContext(ctx, "the kernel carries connections (nftables)")
		return nil
	case b.Mode == Auto && !errors.Is(err, nft.ErrHeld):
		b.Log.WarnContext(ctx, "this process carries connections, because the kernel cannot", "err", err)
		b.inner = userspace.New(userspace.Options{Log: b.Log})
		return nil
	}
	return fmt.Errorf("programming the kernel: %w", err)
}

// retireKernel makes new connections pass a table that an earlier proxy left in the kernel. The table would otherwise
// redirect them to endpoints that are out of date.
func (b *Backend) retireKernel(ctx context.Context) {
	retired, err := nft.Retire()
	switch {
	case err != nil:
		b.Log.DebugContext(ctx, "cannot retire a table that an earlier proxy may have left in the kernel", "err", err)
	case retired:
		b.Log.InfoContext(ctx, "the kernel carries no new connections any more; `viaduct proxy cleanup` removes its table")
	}
}

// Watch implements proxy.Watcher.
func (b *Backend) Watch(ctx context.Context, doubt func()) error {
	select {
	case <-ctx.Done():
		return nil
	case <-b.chosen:
	}
	if b.kernel == nil {
		<-ctx.Done()
		return nil
	}
	return b.kernel.Watch(ctx, doubt)
}

// SetPods implements proxy.PodAware.
func (b *Backend) SetPods(list []netip.Prefix) {
	b.pods = list
	if b.kernel != nil {
		b.kernel.SetPods(list)
	}
}

// Close implements proxy.Backend. With Options.Keep, the kernel goes on carrying connections.
func (b *Backend) Close() error {
	switch {
	case b.inner == nil:
		return nil
	case b.kernel != nil && b.Keep:
		return b.kernel.Leave()
	}
	return b.inner.Close()
}

// ActiveMode names what carries connections, in kube-proxy's words. It is empty before the choice. Any goroutine may
// call it.
func (b *Backend) ActiveMode() string {
	switch {
	case b.carrier() == nil:
		return ""
	case b.kernel != nil:
		return ModeKernel
	}
	return Userspace
}

// Unserved implements proxy.PolicyLimited.
func (b *Backend) Unserved(p routing.Policy) (why string) {
	if limited, ok := b.carrier().(proxy.PolicyLimited); ok {
		return limited.Unserved(p)
	}
	return ""
}

// SetAside implements proxy.Ejector.
func (b *Backend) SetAside() []proxy.SetAside {
	if e, ok := b.carrier().(proxy.Ejector); ok {
		return e.SetAside()
	}
	return nil
}

// carrier is the chosen backend, or nil. Any goroutine may call it.
func (b *Backend) carrier() proxy.Backend {
	select {
	case <-b.chosen:
		return b.inner
	default:
		return nil
	}
}

// Collector returns the metrics of the chosen backend. It is an unchecked collector, because the metrics are not known
// before the choice.
func (b *Backend) Collector() prometheus.Collector { return collector{b} }

type collector struct{ *Backend }

// Describe implements prometheus.Collector.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	if measured, ok := c.carrier().(interface{ Collectors() []prometheus.Collector }); ok {
		for _, metric := range measured.Collectors() {
			metric.Collect(to)
		}
	}
}
