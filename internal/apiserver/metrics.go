package apiserver

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/metrics/legacyregistry"
)

const metricsPath = "/metrics"

// serveMetrics adds collectors to what the server tells of itself. The registry that the library has is the process's,
// where a second server of this process could not add its own.
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
