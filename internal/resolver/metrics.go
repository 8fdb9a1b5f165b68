package resolver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	lookups *prometheus.CounterVec
	latency prometheus.Histogram
	oldest  prometheus.GaugeFunc
}

func newMetrics(r *Resolver) *metrics {
	return &metrics{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "viaduct_names_lookups_total",
			Help: "Attempts to resolve the name of a backend, by result"}, []string{"result"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "viaduct_names_lookup_duration_seconds",
			Help:    "Time of one attempt to resolve a name",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8)}),
		oldest: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "viaduct_names_oldest_answer_seconds",
			Help: "Age of the oldest answer in use"},
			func() float64 { return r.oldest().Seconds() }),
	}
}

func (m *metrics) took(t time.Duration, err error) {
	result := "good"
	if err != nil {
		result = "bad"
	}
	m.lookups.WithLabelValues(result).Inc()
	m.latency.Observe(t.Seconds())
}

// oldest is the age of the answer that was confirmed longest ago.
func (r *Resolver) oldest() (age time.Duration) {
	for _, s := range r.poller.All() {
		if !s.answer.Good.IsZero() {
			age = max(age, time.Since(s.answer.Good))
		}
	}
	return age
}

// Collectors returns the Resolver's metrics, for a registry.
func (r *Resolver) Collectors() []prometheus.Collector {
	return []prometheus.Collector{r.metrics.lookups, r.metrics.latency, r.metrics.oldest}
}
