package allocation

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The bands of a range as labels: whether a number was asked for by name.
const (
	scopeStatic  = "static"
	scopeDynamic = "dynamic"
)

// metrics are what an Allocator counts, under kube-apiserver's names. What a dry run claims is nobody's and is not
// counted.
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
		addresses: counter(ofAddresses, "allocation_total", "Addresses given to Services", "cidr", "scope"),
		addressErrors: counter(ofAddresses, "allocation_errors_total", "Addresses that could not be given to Services",
			"cidr", "scope"),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Subsystem: ofAddresses, Name: "allocation_duration_seconds",
			Help: "Time to give an address to a Service", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)},
			[]string{"cidr"}),
		ports:      counter(ofPorts, "allocation_total", "Node ports given to Services", "scope"),
		portErrors: counter(ofPorts, "allocation_errors_total", "Node ports that could not be given to Services", "scope"),
	}
}

// address counts the attempt to give away an address of one of ranges; of those, invalid is none.
func (m *metrics) address(b *book[netip.Addr], ranges []Range, scope string, began time.Time, addr netip.Addr,
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

// port counts the attempt to give away a port.
func (m *metrics) port(b *book[int32], scope string, err error) {
	switch {
	case b.dryRun:
	case err != nil:
		m.portErrors.WithLabelValues(scope).Inc()
	default:
		m.ports.WithLabelValues(scope).Inc()
	}
}

// Collectors are the Allocator's metrics, for a registry.
func (a *Allocator) Collectors() []prometheus.Collector {
	m := a.metrics
	return []prometheus.Collector{m.addresses, m.addressErrors, m.took, m.ports, m.portErrors, stock{a, a.log}}
}

// stock counts what is given away, and what is left, when it is asked.
type stock struct {
	a   *Allocator
	log *slog.Logger
}

func addressDescs() (allocated, available *prometheus.Desc) {
	return prometheus.NewDesc(ofAddresses+"_allocated_ips", "Addresses that Services have", []string{"cidr"}, nil),
		prometheus.NewDesc(ofAddresses+"_available_ips", "Addresses that Services may still get", []string{"cidr"}, nil)
}

func portDescs() (allocated, available *prometheus.Desc) {
	return prometheus.NewDesc(ofPorts+"_allocated_ports", "Node ports that Services have", nil, nil),
		prometheus.NewDesc(ofPorts+"_available_ports", "Node ports that Services may still get", nil, nil)
}

// Describe says what Collect gives.
func (stock) Describe(to chan<- *prometheus.Desc) {
	for _, descs := range []func() (*prometheus.Desc, *prometheus.Desc){addressDescs, portDescs} {
		allocated, available := descs()
		to <- allocated
		to <- available
	}
}

// countTime bounds the reading of what is given away.
const countTime = 5 * time.Second

// Collect counts. What cannot be read now is left out.
func (s stock) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), countTime)
	defer cancel()
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	held, err := s.a.addresses.store.List(ctx, anyVersion)
	if err != nil {
		s.log.Debug("counting the addresses held", "err", err)
	}
	ranges, rangesErr := s.a.allReady(ctx)
	if err == nil && rangesErr == nil {
		allocated, available := addressDescs()
		for _, r := range ranges {
			n := 0
			for _, ip := range held {
				if addr, err := netip.ParseAddr(ip.Name); err == nil && r.contains(addr) {
					n++
				}
			}
			gauge(allocated, float64(n), r.prefix.String())
			gauge(available, float64(r.count)-float64(n), r.prefix.String())
		}
	}
	ports, err := s.a.ports.all(ctx, true)
	if err != nil {
		s.log.Debug("counting the node ports held", "err", err)
		return
	}
	n := 0
	for port := range ports {
		if s.a.nodePorts.contains(port) {
			n++
		}
	}
	allocated, available := portDescs()
	gauge(allocated, float64(n))
	gauge(available, float64(s.a.nodePorts.bands().count)-float64(n))
}

// allReady lists the ranges of all families that addresses may be taken from now, each once.
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
