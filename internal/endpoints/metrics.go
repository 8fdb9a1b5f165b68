package endpoints

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"viaduct/internal/membership"
)

// metrics are the metrics of the controller. A metric that kube-controller-manager also has uses the same name.
type metrics struct {
	syncs    *prometheus.CounterVec
	queue    *queueMetrics
	slices   sliceKeeper
	mirrors  mirrorKeeper
	writes   *prometheus.CounterVec
	duration prometheus.Histogram
	merged   prometheus.Histogram
}

func newMetrics() *metrics {
	counter := func(subsystem, name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: subsystem, Name: name, Help: help}, []string{label})
	}
	return &metrics{
		syncs: counter("endpoint_slice_controller", "syncs", "Looks at a Service, by result: success, stale (the cache "+
			"was behind) or error", "result"),
		queue:   newQueueMetrics(),
		slices:  newSliceKeeper(),
		mirrors: newMirrorKeeper(),
		writes: counter("viaduct_endpoints_controller", "endpoints_changes_total", "Endpoints written, by operation",
			"operation"),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Subsystem: "viaduct_endpoints_controller",
			Name: "sync_duration_seconds",
			Help: "Time of one look at a Service, with its writes", Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9)}),
		merged: prometheus.NewHistogram(prometheus.HistogramOpts{Subsystem: "viaduct_endpoints_controller",
			Name:    "changes_per_sync",
			Help:    "Changes of Pods, Services and nodes that one look at a Service took up",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
	}
}

// Collectors returns the controller's metrics for a registry.
func (c *Controller) Collectors() []prometheus.Collector {
	m := c.metrics
	all := []prometheus.Collector{m.syncs, m.writes, m.duration, m.merged, m.slices.changed, m.mirrors.updated,
		m.mirrors.skipped, m.mirrors.took, reasonCounter{c}, stock{c}, helpers{c}}
	return slices.Concat(all, m.slices.collectors(), m.mirrors.collectors(), m.queue.collectors())
}

// helpers collects the metrics of the health checker and of the resolver. Each call of Work makes new ones, so this is
// an unchecked collector.
type helpers struct{ c *Controller }

// Describe sends nothing: an unchecked collector.
func (helpers) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics of the current turn.
func (h helpers) Collect(to chan<- prometheus.Metric) {
	t := h.c.working()
	if t == nil {
		return
	}
	for _, c := range append(t.checks.Collectors(), t.names.Collectors()...) {
		c.Collect(to)
	}
}

// reasonCounter counts the endpoints in the slices at the time of a scrape.
type reasonCounter struct{ c *Controller }

func byReason() *prometheus.Desc {
	return prometheus.NewDesc("viaduct_endpoints", "Endpoints in all EndpointSlices, by the reason why they get "+
		"connections or do not", []string{"reason"}, nil)
}

// Describe sends the description of the metric.
func (reasonCounter) Describe(to chan<- *prometheus.Desc) { to <- byReason() }

// Collect counts the endpoints in the cache.
func (r reasonCounter) Collect(to chan<- prometheus.Metric) {
	reasons := map[membership.Reason]int{}
	for _, obj := range r.c.watch.slices.List() {
		es := obj.(*discovery.EndpointSlice)
		for i := range es.Endpoints {
			reasons[membership.StoredReason(es, &es.Endpoints[i])]++
		}
	}
	for reason, n := range reasons {
		to <- prometheus.MustNewConstMetric(byReason(), prometheus.GaugeValue, float64(n), string(reason))
	}
}

// wrote counts a write of an object from one state to another; nil: the object does not exist.
func (m *metrics) wrote(kind string, from, to metav1.Object) {
	operation, is := "update", to
	switch {
	case from == nil:
		operation = "create"
	case to == nil:
		operation, is = "delete", from
	}
	counter := m.slices.changes
	switch {
	case kind == kindEndpoints:
		counter = m.writes
	case is.GetLabels()[discovery.LabelManagedBy] == membership.MirrorManagedBy:
		counter = m.mirrors.changes
	}
	counter.WithLabelValues(operation).Inc()
}
