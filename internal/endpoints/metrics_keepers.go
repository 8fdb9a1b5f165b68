package endpoints

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"viaduct/internal/membership"
)

// A keeper is a controller of kube-controller-manager that keeps EndpointSlices. The metrics here use the names of that
// controller's metrics.
type keeper struct {
	subsystem      string
	changes        *prometheus.CounterVec
	added, removed prometheus.Histogram
}

func newKeeper(subsystem, of string) keeper {
	perSync := func(what string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Subsystem: subsystem, Name: "endpoints_" + what + "_per_sync",
			Help: "Endpoints that one look at a Service " + what, Buckets: prometheus.ExponentialBuckets(2, 2, 15)})
	}
	return keeper{
		subsystem: subsystem, added: perSync("added"), removed: perSync("removed"),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: subsystem, Name: "changes",
			Help: "EndpointSlices written for " + of + ", by operation"}, []string{"operation"}),
	}
}

func (k keeper) collectors() []prometheus.Collector {
	return []prometheus.Collector{k.changes, k.added, k.removed}
}

func (k keeper) note(d membership.Delta) {
	k.added.Observe(float64(d.Added))
	k.removed.Observe(float64(d.Removed))
}

// sliceKeeper is the EndpointSlice controller.
type sliceKeeper struct {
	keeper
	changed *prometheus.HistogramVec
}

func newSliceKeeper() sliceKeeper {
	const subsystem = "endpoint_slice_controller"
	return sliceKeeper{newKeeper(subsystem, "Services with a selector"),
		prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Subsystem: subsystem, Name: "endpointslices_changed_per_sync", Help: "EndpointSlices that one look at a Service " +
				"wrote, by the hints that the Service asks for",
		}, []string{"topology", "traffic_distribution"})}
}

// mirrorKeeper is the EndpointSlice mirroring controller.
type mirrorKeeper struct {
	keeper
	updated, skipped, took prometheus.Histogram
}

func newMirrorKeeper() mirrorKeeper {
	const subsystem = "endpoint_slice_mirroring_controller"
	perSync := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Subsystem: subsystem, Name: name, Help: help,
			Buckets: buckets})
	}
	return mirrorKeeper{
		keeper: newKeeper(subsystem, "Endpoints that people wrote"),
		updated: perSync("endpoints_updated_per_sync", "Endpoints that one look at a Service updated",
			prometheus.ExponentialBuckets(2, 2, 15)),
		skipped: perSync("addresses_skipped_per_sync", "Addresses that one look at a Service left out: more than a mirror "+
			"may have, or none", prometheus.ExponentialBuckets(2, 2, 15)),
		took: perSync("endpoints_sync_duration", "Seconds of one look at a Service, with its writes",
			prometheus.ExponentialBuckets(0.001, 2, 15)),
	}
}

// synced records a successful sync of a Service.
func (m *metrics) synced(svc *v1.Service, d *membership.Decision, took time.Duration) {
	if p := d.Plan(membership.SliceManagedBy); p != nil && p.Keeps {
		m.slices.note(p.Delta(p.Have))
		topology := "Disabled"
		if membership.Proportional(svc) {
			topology = "Auto"
		}
		m.slices.changed.WithLabelValues(topology, distributionOf(svc)).Observe(float64(len(p.Create) + len(p.Update) +
			len(p.Delete)))
	}
	if p := d.Plan(membership.MirrorManagedBy); p != nil && p.Keeps {
		delta := p.Delta(p.Have)
		m.mirrors.note(delta)
		m.mirrors.updated.Observe(float64(delta.Updated))
		m.mirrors.skipped.Observe(float64(d.Unmirrored))
		m.mirrors.took.Observe(took.Seconds())
	}
}

// distributionOf returns spec.trafficDistribution as a label. All values that Kubernetes does not know become one
// value, so that users cannot create more label values.
func distributionOf(svc *v1.Service) string {
	if svc.Spec.TrafficDistribution == nil {
		return ""
	}
	switch how := *svc.Spec.TrafficDistribution; how {
	case v1.ServiceTrafficDistributionPreferClose, v1.ServiceTrafficDistributionPreferSameZone,
		v1.ServiceTrafficDistributionPreferSameNode:
		return how
	}
	return "ImplementationSpecific"
}

// stock counts the slices of the keepers at the time of a scrape.
type stock struct{ c *Controller }

// Describe sends nothing: an unchecked collector.
func (stock) Describe(chan<- *prometheus.Desc) {}

// Collect counts the slices in the cache.
func (s stock) Collect(to chan<- prometheus.Metric) {
	gauge := func(n int, name, help string, labels prometheus.Labels) {
		to <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, labels), prometheus.GaugeValue, float64(n))
	}
	for by, k := range map[string]keeper{membership.SliceManagedBy: s.c.metrics.slices.keeper,
		membership.MirrorManagedBy: s.c.metrics.mirrors.keeper} {
		kept, endpoints, fewest := map[types.NamespacedName][]*discovery.EndpointSlice{}, 0, 0
		count := 0
		for _, obj := range s.c.watch.slices.List() {
			es := obj.(*discovery.EndpointSlice)
			if key := serviceOf(es); key != nil && es.Labels[discovery.LabelManagedBy] == by {
				kept[*key] = append(kept[*key], es)
				count, endpoints = count+1, endpoints+len(es.Endpoints)
			}
		}
		for _, list := range kept {
			fewest += membership.FewestSlices(list)
		}
		gauge(count, k.subsystem+"_num_endpoint_slices", "EndpointSlices that are kept", nil)
		gauge(endpoints, k.subsystem+"_endpoints_desired", "Endpoints in them", nil)
		gauge(fewest, k.subsystem+"_desired_endpoint_slices", "EndpointSlices that would do for them, were each filled", nil)
	}
	services, err := s.c.watch.services.List(labels.Everything())
	if err != nil {
		return // a list from the cache does not fail
	}
	by := map[string]int{}
	for _, svc := range services {
		if how := distributionOf(svc); how != "" && membership.HasSelector(svc) {
			by[how]++
		}
	}
	for how, n := range by {
		gauge(n, "endpoint_slice_controller_services_count_by_traffic_distribution",
			"Services with a selector that ask for it", prometheus.Labels{"traffic_distribution": how})
	}
}
