package apiserver

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/metrics/legacyregistry"
)

const metricsPath = "/metrics"

// serveMetrics serves the library's metrics and those of own. It does not add own to the library's registry, which
// belongs to the process: a second server in the process could not add its own there.
func serveMetrics(server *genericapiserver.GenericAPIServer, own []prometheus.Collector) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(own...)
	get := promhttp.HandlerFor(prometheus.Gatherers{legacyregistry.DefaultGatherer, registry}, promhttp.HandlerOpts{})
	reset := legacyregistry.HandlerWithReset()
	mux := server.Handler.NonGoRestfulMux
	mux.Unregister(metricsPath)
	mux.HandleFunc(metricsPath, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			reset.ServeHTTP(w, r)
			return
		}
		get.ServeHTTP(w, r)
	})
}
