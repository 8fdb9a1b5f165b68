package healthcheck

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"viaduct/internal/annotations"
	"viaduct/internal/prober"
)

type metrics struct {
	answers *prometheus.CounterVec
	latency *prometheus.HistogramVec
	late    prometheus.Histogram
}

func newMetrics() *metrics {
	name := func(n string) string { return "viaduct_checks_" + n }
	return &metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("answers_total"),
			Help: "Results of health checks of addresses, by kind of check and result"}, []string{"kind", "result"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name("duration_seconds"),
			Help:    "Time from a probe to its answer or its timeout",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9)}, []string{"kind"}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{Name: name("lateness_seconds"),
			Help:    "Delay of probes behind their planned time",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)}),
	}
}

func (m *metrics) observe(kind annotations.Kind, answer prober.Answer, took time.Duration) {
	result := "good"
	switch answer.Verdict { // others: good
	case prober.Bad:
		result = "bad"
	case prober.Unknown:
		result = "unknown"
	}
	m.answers.WithLabelValues(string(kind), result).Inc()
	m.latency.WithLabelValues(string(kind)).Observe(took.Seconds())
}

// Collectors returns the Checker's metrics, for a registry.
func (c *Checker) Collectors() []prometheus.Collector {
	return []prometheus.Collector{c.metrics.answers, c.metrics.latency, c.metrics.late, counter{c}}
}

// counter counts the addresses at each scrape.
type counter struct{ c *Checker }

func targetsDesc() *prometheus.Desc {
	return prometheus.NewDesc("viaduct_checks_addresses", "Checked addresses, by state", []string{"state"}, nil)
}

func intervalDesc() *prometheus.Desc {
	return prometheus.NewDesc("viaduct_checks_least_interval_seconds", "Shortest interval at which this many "+
		"addresses can be checked; longer configured intervals are kept", nil, nil)
}

// Describe implements prometheus.Collector.
func (c counter) Describe(to chan<- *prometheus.Desc) {
	to <- targetsDesc()
	to <- intervalDesc()
}

// Collect implements prometheus.Collector.
func (c counter) Collect(to chan<- prometheus.Metric) {
	up, all := 0, 0
	for _, s := range c.c.poller.All() {
		all++
		if s.flap.state.Up {
			up++
		}
	}
	to <- prometheus.MustNewConstMetric(intervalDesc(), prometheus.GaugeValue, c.c.shortestInterval().Seconds())
	to <- prometheus.MustNewConstMetric(targetsDesc(), prometheus.GaugeValue, float64(up), "up")
	to <- prometheus.MustNewConstMetric(targetsDesc(), prometheus.GaugeValue, float64(all-up), "down")
}
