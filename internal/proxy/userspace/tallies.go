package userspace

import (
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"viaduct/internal/routing"
)

// tallies holds a meter for each endpoint of each Service port. A tally is the key of one meter.
type tallies struct {
	mu        sync.RWMutex                      // protects byService
	byService map[routing.Name]map[tally]*meter // by Service, without port
}

type tally struct {
	service  routing.Name
	endpoint netip.AddrPort
}

func (t *tallies) of(service routing.Name, endpoint netip.AddrPort) *meter {
	key := tally{service, endpoint}
	t.mu.RLock()
	m := t.byService[service.Service()][key]
	t.mu.RUnlock()
	if m != nil {
		return m
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byService == nil {
		t.byService = map[routing.Name]map[tally]*meter{}
	}
	all := t.byService[service.Service()]
	if all == nil {
		all = map[tally]*meter{}
		t.byService[service.Service()] = all
	}
	if all[key] == nil {
		all[key] = &meter{}
	}
	return all[key]
}

// keep drops the meters of a Service for which serves is false.
func (t *tallies) keep(service routing.Name, serves func(tally) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.byService[service]
	for key := range all {
		if !serves(key) {
			delete(all, key)
		}
	}
	if len(all) == 0 {
		delete(t.byService, service)
	}
}

// each calls f for every meter.
func (t *tallies) each(f func(tally, *meter)) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, all := range t.byService {
		for key, m := range all {
			f(key, m)
		}
	}
}

// Collectors returns the metrics of the Backend, for a registry.
func (b *Backend) Collectors() []prometheus.Collector { return []prometheus.Collector{collector{b}} }

// collector computes the metrics at each scrape.
type collector struct{ b *Backend }

// descriptions are the descriptions of the metrics of a Service port or, with the label endpoint, of an endpoint.
func descriptions(labels ...string) (connections, failures, bytes *prometheus.Desc) {
	name := func(n string) string { return "viaduct_userspace_" + n }
	of := "of a Service port"
	if len(labels) > 3 {
		name = func(n string) string { return "viaduct_userspace_endpoint_" + n }
		of = "of an endpoint of a Service port"
	}
	return prometheus.NewDesc(name("connections_total"), "TCP connections and UDP flows "+of+" that were carried", labels,
			nil),
		prometheus.NewDesc(name("failures_total"), "TCP connections and UDP flows "+of+" that were not taken", labels, nil),
		prometheus.NewDesc(name("bytes_total"), "Bytes "+of+" that were carried, sent by clients or received by them; of "+
			"TCP when a direction ends", append(labels, "direction"), nil)
}

func serviceLabels() []string { return []string{"namespace", "service", "port"} }

func asideDesc() *prometheus.Desc {
	return prometheus.NewDesc("viaduct_userspace_endpoints_set_aside", "Endpoints that get no connections for a while, "+
		"for what this proxy saw itself", nil, nil)
}

// Describe sends the descriptions of the metrics that Collect sends.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, labels := range [][]string{serviceLabels(), append(serviceLabels(), "endpoint")} {
		connections, failures, bytes := descriptions(labels...)
		to <- connections
		to <- failures
		to <- bytes
	}
	to <- asideDesc()
}

// Collect sends the present values of the metrics.
func (c collector) Collect(to chan<- prometheus.Metric) {
	for name, counts := range c.b.perService() {
		tell(to, counts, serviceLabels(), name.Namespace, name.Name, name.Port)
	}
	c.b.host.tallies.each(func(key tally, m *meter) {
		tell(to, m.read(), append(serviceLabels(), "endpoint"), key.service.Namespace, key.service.Name, key.service.Port,
			key.endpoint.String())
	})
	to <- prometheus.MustNewConstMetric(asideDesc(), prometheus.GaugeValue, float64(c.b.host.ejected.count.Load()))
}

func tell(to chan<- prometheus.Metric, c Counts, labels []string, values ...string) {
	connections, failures, bytes := descriptions(labels...)
	to <- prometheus.MustNewConstMetric(connections, prometheus.CounterValue, float64(c.Connections), values...)
	to <- prometheus.MustNewConstMetric(failures, prometheus.CounterValue, float64(c.Failures), values...)
	to <- prometheus.MustNewConstMetric(bytes, prometheus.CounterValue, float64(c.Sent), append(values, "sent")...)
	to <- prometheus.MustNewConstMetric(bytes, prometheus.CounterValue, float64(c.Received), append(values, "received")...)
}

// perService sums the Counts of all servers of each Service port.
func (b *Backend) perService() map[routing.Name]Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	sums := map[routing.Name]Counts{}
	for _, s := range b.servers {
		name, c := s.now().Service, s.counts()
		sum := sums[name]
		sums[name] = Counts{sum.Connections + c.Connections, sum.Failures + c.Failures, sum.Sent + c.Sent, sum.Received +
			c.Received}
	}
	return sums
}
