package scheduler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	v1 "k8s.io/api/core/v1"
)

// metrics are the scheduler's, under kube-scheduler's names.
type metrics struct {
	attempts *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

// The results of an attempt, as kube-scheduler names them.
const (
	resultScheduled     = "scheduled"
	resultUnschedulable = "unschedulable"
	resultError         = "error"
)

func newMetrics() *metrics {
	profile := prometheus.Labels{"profile": v1.DefaultSchedulerName}
	return &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "scheduler_schedule_attempts_total", Help: "Attempts to find a node for a Pod, by result",
			ConstLabels: profile,
		}, []string{"result"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "scheduler_scheduling_attempt_duration_seconds", Help: "Time of an attempt, including the write at its end",
			ConstLabels: profile,
			Buckets:     prometheus.ExponentialBuckets(0.001, 2, 15),
		}, []string{"result"}),
	}
}

func (m *metrics) observe(result string, began time.Time) {
	m.attempts.WithLabelValues(result).Inc()
	m.took.WithLabelValues(result).Observe(time.Since(began).Seconds())
}

// Collectors gives the scheduler's metrics, for a registry.
func (s *Scheduler) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.metrics.attempts, s.metrics.took}
}
