package allocation

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The values of the label scope: whether a number was requested by name.
const (
	scopeStatic  = "static"
	scopeDynamic = "dynamic"
)

// metrics are the counters of an Allocator, under kube-apiserver's names. Dry runs are not counted.
type metrics struct {
	addresses, addressErrors *prometheus.CounterVec
	took                     *prometheus.HistogramVec
	ports, portErrors        *prometheus.CounterVec
}

const (
	ofAddresses = "kube_apiserver_clusterip_allocator"
	ofPorts     = "kube_apiserver_nodeport_allocator"
)

func newMetrics() *metrics {
	counter := func(subsystem, name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: subsystem, Name: name, Help: help}, labels)
	}
	return &metrics{
		addresses: counter(ofAddresses, "allocation_total", "Addresses allocated to Services", "cidr", "scope"),
		addressErrors: counter(ofAddresses, "allocation_errors_total", "Failed allocations of addresses",
			"cidr", "scope"),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Subsystem: ofAddresses, Name: "allocation_duration_seconds",
			Help: "Duration of the allocation of an address", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)},
			[]string{"cidr"}),
		ports:      counter(ofPorts, "allocation_total", "Node ports allocated to Services", "scope"),
		portErrors: counter(ofPorts, "allocation_errors_total", "Failed allocations of node ports", "scope"),
	}
}

// address counts one attempt to allocate an address of one of ranges. addr is invalid if the attempt failed.
func (m *metrics) address(b *claims[netip.Addr], ranges []Range, scope string, began time.Time, addr netip.Addr,
	err error) {
	if b.dryRun {
		return
	}
	for _, r := range ranges {
		cidr := r.prefix.String()
		switch {
		case err != nil:
			m.addressErrors.WithLabelValues(cidr, scope).Inc()
		case r.contains(addr):
			m.addresses.WithLabelValues(cidr, scope).Inc()
			m.took.WithLabelValues(cidr).Observe(time.Since(began).Seconds())
		}
	}
}

// port counts one attempt to allocate a port.
func (m *metrics) port(b *claims[int32], scope string, err error) {
	switch {
	case b.dryRun:
	case err != nil:
		m.portErrors.WithLabelValues(scope).Inc()
	default:
		m.ports.WithLabelValues(scope).Inc()
	}
}

// Collectors returns the metrics of the Allocator, for a registry.
func (a *Allocator) Collectors() []prometheus.Collector {
	m := a.metrics
	return []prometheus.Collector{m.addresses, m.addressErrors, m.took, m.ports, m.portErrors, usageCollector{a, a.log}}
}

// usageCollector counts allocated and available numbers at each scrape.
type usageCollector struct {
	a   *Allocator
	log *slog.Logger
}

func addressDescs() (allocated, available *prometheus.Desc) {
	return prometheus.NewDesc(ofAddresses+"_allocated_ips", "Addresses that Services hold", []string{"cidr"}, nil),
		prometheus.NewDesc(ofAddresses+"_available_ips", "Addresses that are free", []string{"cidr"}, nil)
}

func portDescs() (allocated, available *prometheus.Desc) {
	return prometheus.NewDesc(ofPorts+"_allocated_ports", "Node ports that Services hold", nil, nil),
		prometheus.NewDesc(ofPorts+"_available_ports", "Node ports that are free", nil, nil)
}

// Describe implements prometheus.Collector.
func (usageCollector) Describe(to chan<- *prometheus.Desc) {
	for _, descs := range []func() (*prometheus.Desc, *prometheus.Desc){addressDescs, portDescs} {
		allocated, available := descs()
		to <- allocated
		to <- available
	}
}

// collectTimeout bounds the reads of one scrape.
const collectTimeout = 5 * time.Second

// Collect implements prometheus.Collector. It leaves out numbers that cannot be read now.
func (c usageCollector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	if err := c.collectAddresses(ctx, to); err != nil {
		c.log.Debug("counting the allocated addresses", "err", err)
	}
	if err := c.collectPorts(ctx, to); err != nil {
		c.log.Debug("counting the allocated node ports", "err", err)
	}
}

func (c usageCollector) collectAddresses(ctx context.Context, to chan<- prometheus.Metric) error {
	held, err := c.a.addresses.store.List(ctx, anyVersion)
	if err != nil {
		return err
	}
	ranges, err := c.a.allReady(ctx)
	if err != nil {
		return err
	}
	allocated, available := addressDescs()
	for _, r := range ranges {
		n := 0
		for _, ip := range held {
			if addr, err := netip.ParseAddr(ip.Name); err == nil && r.contains(addr) {
				n++
			}
		}
		to <- gauge(allocated, float64(n), r.prefix.String())
		to <- gauge(available, float64(r.count)-float64(n), r.prefix.String())
	}
	return nil
}

func (c usageCollector) collectPorts(ctx context.Context, to chan<- prometheus.Metric) error {
	ports, err := c.a.ports.all(ctx, true)
	if err != nil {
		return err
	}
	n := 0
	for port := range ports {
		if c.a.nodePorts.contains(port) {
			n++
		}
	}
	allocated, available := portDescs()
	to <- gauge(allocated, float64(n))
	to <- gauge(available, float64(c.a.nodePorts.bands().count)-float64(n))
	return nil
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// allReady lists the ranges of all families from which addresses may be allocated now, each once.
func (a *Allocator) allReady(ctx context.Context) (all []Range, err error) {
	seen := map[netip.Prefix]bool{}
	for _, family := range a.families {
		ranges, err := a.ready(ctx, family)
		if err != nil {
			return nil, err
		}
		for _, r := range ranges {
			if !seen[r.prefix] {
				all = append(all, r)
			}
			seen[r.prefix] = true
		}
	}
	return all, nil
}
