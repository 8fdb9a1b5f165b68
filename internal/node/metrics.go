package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/prober"
)

// metrics are the agent's, under the names of the kubelet's.
type metrics struct {
	pods, containers prometheus.Gauge
	started, cannot  *prometheus.CounterVec
	podStart         prometheus.Histogram
	probes           *prometheus.CounterVec
	probeTook        *prometheus.HistogramVec
}

func newMetrics() *metrics {
	gauge := func(name, help string, labels prometheus.Labels) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return &metrics{
		pods: gauge("kubelet_running_pods", "Pods with at least one running container", nil),
		containers: gauge("kubelet_running_containers", "Running containers",
			prometheus.Labels{"container_state": "running"}),
		started: counter("kubelet_started_containers_total", "Attempts to start a container, including failed ones",
			"container_type"),
		cannot: counter("kubelet_started_containers_errors_total", "Failed attempts to start a container, by the reason "+
			"in its status", "container_type", "code"),
		podStart: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "kubelet_pod_start_duration_seconds",
			Help:    "Time from the first sight of a Pod until all of its main containers have started",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 15)}),
		probes: counter("prober_probe_total", "Results of the probes of containers", "probe_type", "result", "container",
			"pod", "namespace", "pod_uid"),
		probeTook: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "prober_probe_duration_seconds",
			Help:    "Time of successful probes",
			Buckets: prometheus.DefBuckets}, []string{"probe_type", "container", "pod", "namespace"}),
	}
}

// Collectors gives the agent's metrics, for a registry.
func (a *Agent) Collectors() []prometheus.Collector {
	m := a.metrics
	return []prometheus.Collector{m.pods, m.containers, m.started, m.cannot, m.podStart, m.probes, m.probeTook}
}

// began counts a container that has started.
func (m *metrics) began(w *worker) {
	m.containers.Inc()
	if w.startup.running++; w.startup.running == 1 {
		m.pods.Inc()
	}
	if !w.startup.seen.IsZero() && w.allBegan() {
		m.podStart.Observe(time.Since(w.startup.seen).Seconds())
		w.startup.seen = time.Time{}
	}
}

// ended counts a container that has ended.
func (m *metrics) ended(w *worker) {
	m.containers.Dec()
	if w.startup.running--; w.startup.running == 0 {
		m.pods.Dec()
	}
}

// allBegan reports whether each main container has started at least once.
func (w *worker) allBegan() bool {
	for _, c := range w.containers {
		if c.Kind == mainContainer && c.attempt < 0 {
			return false
		}
	}
	return true
}

// starting counts an attempt to start a container.
func (m *metrics) starting(c *container) { m.started.WithLabelValues(c.kindName()).Inc() }

func (m *metrics) cannotStart(c *container, code string) {
	m.cannot.WithLabelValues(c.kindName(), code).Inc()
}

func (c *container) kindName() string {
	if c.Kind == mainContainer {
		return "container"
	}
	return "init_container"
}

// answered counts the result of a probe. The series of a Pod end with the Pod, see forget.
func (m *metrics) answered(pod *v1.Pod, container, probe string, r prober.Report) {
	result := "unknown"
	switch r.Verdict { // others: unknown
	case prober.Good:
		result = "successful"
		m.probeTook.WithLabelValues(probe, container, pod.Name, pod.Namespace).Observe(r.Took.Seconds())
	case prober.Bad:
		result = "failed"
	}
	m.probes.WithLabelValues(probe, result, container, pod.Name, pod.Namespace, string(pod.UID)).Inc()
}

// forget removes the series of the probes of a Pod.
func (m *metrics) forget(pod *v1.Pod, uid types.UID) {
	m.probes.DeletePartialMatch(prometheus.Labels{"pod_uid": string(uid)})
	m.probeTook.DeletePartialMatch(prometheus.Labels{"pod": pod.Name, "namespace": pod.Namespace})
}
