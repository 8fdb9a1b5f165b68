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
			Help: "Answers of addresses that are checked, by kind of check and result"}, []string{"kind", "result"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name("duration_seconds"),
			Help:    "Time from a question to its answer, or until it was given up",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9)}, []string{"kind"}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{Name: name("lateness_seconds"),
			Help:    "How much later than planned questions are put",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)}),
	}
}

func (m *metrics) note(kind annotations.Kind, answer prober.Answer, took time.Duration) {
	result := "good"
	switch answer.Verdict {
	case prober.Bad:
		result = "bad"
	case prober.Unknown:
		result = "unknown"
	}
	m.answers.WithLabelValues(string(kind), result).Inc()
	m.latency.WithLabelValues(string(kind)).Observe(took.Seconds())
}

// Collectors are the Checker's metrics, for a registry.
func (c *Checker) Collectors() []prometheus.Collector {
	return []prometheus.Collector{c.metrics.answers, c.metrics.latency, c.metrics.late, counter{c}}
}

// counter counts the addresses when it is asked.
type counter struct{ c *Checker }

func targetsDesc() *prometheus.Desc {
	return prometheus.NewDesc("viaduct_checks_addresses", "Addresses that are checked, by state", []string{"state"}, nil)
}

func leastDesc() *prometheus.Desc {
	return prometheus.NewDesc("viaduct_checks_least_interval_seconds", "The shortest interval at which so many "+
		"addresses are asked; one that is asked for and longer holds", nil, nil)
}

// Describe says what Collect gives.
func (c counter) Describe(to chan<- *prometheus.Desc) {
	to <- targetsDesc()
	to <- leastDesc()
}

// Collect counts.
func (c counter) Collect(to chan<- prometheus.Metric) {
	c.c.mu.Lock()
	up, all, least := 0, len(c.c.entries), c.c.least()
	for _, e := range c.c.entries {
		if e.course.state.Up {
			up++
		}
	}
	c.c.mu.Unlock()
	to <- prometheus.MustNewConstMetric(leastDesc(), prometheus.GaugeValue, least.Seconds())
	to <- prometheus.MustNewConstMetric(targetsDesc(), prometheus.GaugeValue, float64(up), "up")
	to <- prometheus.MustNewConstMetric(targetsDesc(), prometheus.GaugeValue, float64(all-up), "down")
}
