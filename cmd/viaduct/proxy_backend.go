package main

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

// A dataPath is a proxy.Backend that is made when it is known what it has to serve: Services with addresses in
// 127.0.0.0/8 are served by the userspace proxy, all others by the kernel.
type dataPath struct {
	mode string
	pods []netip.Prefix
	keep bool // the kernel goes on without this process
	log  *slog.Logger

	chosen proxy.Backend // nil: there has been nothing to serve yet
	kernel *nft.Backend  // the same, if it is one
	made   chan struct{} // closed once chosen is
	nodes  []netip.Prefix
	retire bool // once this process serves, the kernel is not to any more
	whole  bool // all of the last Sync is carried; for the goroutine that calls Sync
}

func newDataPath(o proxyOptions, log *slog.Logger) *dataPath {
	return &dataPath{mode: o.mode, pods: o.pods, keep: o.keep, log: log, made: make(chan struct{})}
}

// Sync implements proxy.Backend.
func (d *dataPath) Sync(ctx context.Context, t *routing.Table, changed []routing.Name) error {
	d.whole = false
	if d.chosen == nil {
		if err := d.choose(ctx, t); err != nil || d.chosen == nil {
			return err
		}
	}
	err := d.chosen.Sync(ctx, t, changed)
	if _, other := routing.Split(err); other == nil && d.retire {
		d.retire = false
		d.retireKernel(ctx)
	}
	d.whole = err == nil
	return err
}

// retireKernel lets new connections pass a table that an earlier proxy left in the kernel: it would go on sending them
// where that proxy last knew, past this one.
func (d *dataPath) retireKernel(ctx context.Context) {
	retired, err := nft.Retire()
	switch {
	case err != nil:
		d.log.DebugContext(ctx, "a table that an earlier proxy may have left in the kernel stays", "err", err)
	case retired:
		d.log.InfoContext(ctx, "the kernel no longer carries new connections; `viaduct proxy cleanup` removes its table")
	}
}

// choose makes the backend, unless nothing tells which: there are no Services yet, and the mode leaves it open.
func (d *dataPath) choose(ctx context.Context, t *routing.Table) (err error) {
	local, known := servesLoopback(t)
	switch {
	case d.mode == proxyUserspace || d.mode == proxyAuto && known && local:
		d.chosen = userspace.New(userspace.Options{Log: d.log})
		d.retire = known && !local // with loopback addresses it is no business of ours what the kernel carries for others
	case d.mode == proxyAuto && !known:
		return nil
	default:
		err = d.chooseKernel(ctx)
	}
	if d.chosen != nil {
		close(d.made)
	}
	return err
}

func (d *dataPath) chooseKernel(ctx context.Context) error {
	kernel, err := nft.New(nft.Options{Pods: d.pods, Log: d.log})
	switch {
	case err == nil:
		kernel.SetPods(d.nodes)
		d.chosen, d.kernel = kernel, kernel
		d.log.InfoContext(ctx, "connections are carried by the kernel (nftables)")
		return nil
	case d.mode == proxyAuto && !errors.Is(err, nft.ErrHeld):
		d.log.WarnContext(ctx, "connections are carried by this process, because the kernel cannot be used", "reason", err)
		d.chosen = userspace.New(userspace.Options{Log: d.log})
		return nil
	}
	return fmt.Errorf("programming the kernel: %w", err)
}

// servesLoopback says whether the cluster IPs of t are loopback addresses; known is false when there are none.
func servesLoopback(t *routing.Table) (local, known bool) {
	for _, name := range t.Services() {
		for _, f := range t.Of(name) {
			if f.Kind == routing.ClusterIP {
				return f.Addr.IsLoopback(), true
			}
		}
	}
	return false, false
}

// Watch implements proxy.Watcher.
func (d *dataPath) Watch(ctx context.Context, doubt func()) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.made:
	}
	if d.kernel == nil {
		<-ctx.Done()
		return nil
	}
	return d.kernel.Watch(ctx, doubt)
}

// SetPods implements proxy.PodAware.
func (d *dataPath) SetPods(list []netip.Prefix) {
	d.nodes = list
	if d.kernel != nil {
		d.kernel.SetPods(list)
	}
}

// Mode names what carries connections, in kube-proxy's words; empty while nothing does.
func (d *dataPath) Mode() string {
	select {
	case <-d.made:
	default:
		return ""
	}
	if d.kernel != nil {
		return modeKernel
	}
	return proxyUserspace
}

// modeKernel is kube-proxy's word for what Viaduct does in the kernel.
const modeKernel = "nftables"

// Unserved implements proxy.PolicyLimited.
func (d *dataPath) Unserved(p routing.Policy) (why string) {
	if limited, ok := d.carrier().(proxy.PolicyLimited); ok {
		return limited.Unserved(p)
	}
	return ""
}

// SetAside implements proxy.Ejector.
func (d *dataPath) SetAside() []proxy.SetAside {
	if e, ok := d.carrier().(proxy.Ejector); ok {
		return e.SetAside()
	}
	return nil
}

// carrier is what carries connections, nil while nothing does.
func (d *dataPath) carrier() proxy.Backend {
	select {
	case <-d.made:
		return d.chosen
	default:
		return nil
	}
}

// dataPathMetrics are those of what carries connections. Which they are is not known before it is: it is an unchecked
// collector.
type dataPathMetrics struct{ *dataPath }

// Describe implements prometheus.Collector.
func (dataPathMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (d dataPathMetrics) Collect(to chan<- prometheus.Metric) {
	if measured, ok := d.carrier().(interface{ Collectors() []prometheus.Collector }); ok {
		for _, c := range measured.Collectors() {
			c.Collect(to)
		}
	}
}

// Close implements proxy.Backend. What the kernel carries goes on if it is to be kept.
func (d *dataPath) Close() error {
	switch {
	case d.chosen == nil:
		return nil
	case d.kernel != nil && d.keep:
		return d.kernel.Leave()
	}
	return d.chosen.Close()
}
