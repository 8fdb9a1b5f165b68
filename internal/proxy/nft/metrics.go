package nft

import "github.com/prometheus/client_golang/prometheus"

// metrics are the metrics of the Backend. They have the names of kube-proxy.
type metrics struct {
	cleaned   prometheus.Histogram
	forgotten prometheus.Counter
}

func newMetrics() metrics {
	return metrics{
		cleaned: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "kubeproxy",
			Name:    "conntrack_reconciler_sync_duration_seconds",
			Help:    "Time to look for UDP conversations that lead elsewhere than they should",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 18)}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kubeproxy",
			Name: "conntrack_reconciler_deleted_entries_total",
			Help: "UDP conversations that were forgotten because they led elsewhere than they should"}),
	}
}

// Collectors returns the metrics of the Backend, for a registry.
func (b *Backend) Collectors() []prometheus.Collector {
	return []prometheus.Collector{b.metrics.cleaned, b.metrics.forgotten}
}
