package proxy

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"viaduct/internal/routing"
)

// metrics are the metrics of the Proxy. They have the names of kube-proxy's metrics where kube-proxy has the same ones.
// One loop serves both address families, so no metric has a label for the family.
type metrics struct {
	all, full, partial prometheus.Histogram
	applied, queued    prometheus.Gauge
	services           prometheus.Counter
	failures           prometheus.Counter
	pending            prometheus.Gauge
	programming        prometheus.Histogram
	noLocal            *prometheus.GaugeVec
	healthz, livez     *prometheus.CounterVec
	without            map[string]map[routing.Name]bool // by traffic policy: Services without a local endpoint
}

func newMetrics() *metrics {
	duration := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "kubeproxy", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 18)})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "kubeproxy", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kubeproxy", Name: name, Help: help})
	}
	answers := func(name, path string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "kubeproxy", Name: name, Help: "Answers at " +
			path}, []string{"code"})
	}
	return &metrics{
		healthz:  answers("proxy_healthz_total", "/healthz"),
		livez:    answers("proxy_livez_total", "/livez"),
		all:      duration("sync_proxy_rules_duration_seconds", "Time of one application"),
		full:     duration("sync_full_proxy_rules_duration_seconds", "Time of one application that looked at everything"),
		partial:  duration("sync_partial_proxy_rules_duration_seconds", "Time of one application of what had changed"),
		applied:  gauge("sync_proxy_rules_last_timestamp_seconds", "When the last application without error ended"),
		queued:   gauge("sync_proxy_rules_last_queued_timestamp_seconds", "When an application was last asked for"),
		services: counter("sync_proxy_rules_service_changes_total", "Services whose traffic changed"),
		pending:  gauge("sync_proxy_rules_service_changes_pending", "Services whose change is not applied"),
		failures: counter("sync_proxy_rules_nftables_sync_failures_total", "Applications that ended with an error"),
		programming: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "kubeproxy",
			Name: "network_programming_duration_seconds",
			Help: "Time from the first change of a Service or of its Pods to its application, for changes since this process " +
				"began", Buckets: prometheus.ExponentialBuckets(0.001, 2, 18)}),
		noLocal: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "kubeproxy",
			Name: "sync_proxy_rules_no_local_endpoints_total",
			Help: "Services with a Local traffic policy and endpoints, but none on this node"}, []string{"traffic_policy"}),
		without: map[string]map[routing.Name]bool{"internal": {}, "external": {}},
	}
}

// Collectors returns the metrics of the Proxy, for a registry.
func (p *Proxy) Collectors() []prometheus.Collector {
	m := p.metrics
	return []prometheus.Collector{m.all, m.full, m.partial, m.applied, m.queued, m.services, m.failures, m.pending,
		m.programming, m.noLocal, m.healthz, m.livez}
}

// synced records one Sync of the Backend.
func (m *metrics) synced(took time.Duration, full bool, changed int, err error) {
	m.all.Observe(took.Seconds())
	if full {
		m.full.Observe(took.Seconds())
	} else {
		m.partial.Observe(took.Seconds())
	}
	if err != nil {
		m.failures.Inc()
		m.pending.Set(float64(changed))
		return
	}
	m.services.Add(float64(changed))
	m.pending.Set(0)
	m.applied.SetToCurrentTime()
}

// served records, for the Services in names, whether a Local traffic policy leaves them without an endpoint on this
// node.
func (m *metrics) served(t *routing.Table, names []routing.Name) {
	for _, name := range names {
		internal, external := false, false
		for _, f := range t.Of(name) {
			if f.Kind == routing.ClusterIP {
				internal = internal || f.Inside.Why == routing.NoneLocal
			} else {
				external = external || f.Outside.Why == routing.NoneLocal
			}
		}
		mark(m.without["internal"], name, internal)
		mark(m.without["external"], name, external)
	}
	for policy, set := range m.without {
		m.noLocal.WithLabelValues(policy).Set(float64(len(set)))
	}
}

func mark(set map[routing.Name]bool, name routing.Name, is bool) {
	if is {
		set[name] = true
	} else {
		delete(set, name)
	}
}
