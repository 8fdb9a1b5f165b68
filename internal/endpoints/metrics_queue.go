package endpoints

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/workqueue"
)

// queueName is the name of the work queue in the metrics. Upstream has three queues, one for each controller.
const queueName = "endpoint_slice"

// queueMetrics are the metrics of the work queue, with the names that all Kubernetes controllers use. They outlive the
// queue, because each call of Work makes a new queue.
type queueMetrics struct {
	adds, retries               *prometheus.CounterVec
	depth, unfinished, longest  *prometheus.GaugeVec
	queueDuration, workDuration *prometheus.HistogramVec
}

var _ workqueue.MetricsProvider = &queueMetrics{}

func newQueueMetrics() *queueMetrics {
	label := []string{"name"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: "workqueue", Name: name, Help: help}, label)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Subsystem: "workqueue", Name: name, Help: help}, label)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Subsystem: "workqueue", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(1e-8, 10, 10)}, label)
	}
	return &queueMetrics{
		adds: counter("adds_total", "Services that were queued"), retries: counter("retries_total",
			"Services that were queued again after an error"),
		depth:         gauge("depth", "Services that wait to be looked at"),
		unfinished:    gauge("unfinished_work_seconds", "Time that the looks under way have taken so far, together"),
		longest:       gauge("longest_running_processor_seconds", "Time that the longest look under way has taken so far"),
		queueDuration: histogram("queue_duration_seconds", "Time that a Service waited to be looked at"),
		workDuration:  histogram("work_duration_seconds", "Time of a look at a Service"),
	}
}

func (q *queueMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{q.adds, q.retries, q.depth, q.unfinished, q.longest, q.queueDuration, q.workDuration}
}

// NewDepthMetric and the others implement workqueue.MetricsProvider.
func (q *queueMetrics) NewDepthMetric(name string) workqueue.GaugeMetric {
	depth := q.depth.WithLabelValues(name)
	depth.Set(0) // a new queue is empty
	return depth
}

func (q *queueMetrics) NewAddsMetric(name string) workqueue.CounterMetric {
	return q.adds.WithLabelValues(name)
}

func (q *queueMetrics) NewLatencyMetric(name string) workqueue.HistogramMetric {
	return q.queueDuration.WithLabelValues(name)
}

func (q *queueMetrics) NewWorkDurationMetric(name string) workqueue.HistogramMetric {
	return q.workDuration.WithLabelValues(name)
}

func (q *queueMetrics) NewUnfinishedWorkSecondsMetric(name string) workqueue.SettableGaugeMetric {
	return q.unfinished.WithLabelValues(name)
}

func (q *queueMetrics) NewLongestRunningProcessorSecondsMetric(name string) workqueue.SettableGaugeMetric {
	return q.longest.WithLabelValues(name)
}

func (q *queueMetrics) NewRetriesMetric(name string) workqueue.CounterMetric {
	return q.retries.WithLabelValues(name)
}
