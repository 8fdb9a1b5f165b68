package main

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/spf13/pflag"

	"viaduct/internal/proxy"
	"viaduct/internal/supervisor"
)

// proxyPorts say where the proxy can be asked. The flags and the ports are kube-proxy's; nothing listens beyond
// loopback unless asked.
type proxyPorts struct{ health, metrics string }

func (o *proxyPorts) register(flags *pflag.FlagSet) {
	o.health, o.metrics = defaultHealthPort, defaultMetricsPort
	flags.Var(optionalHostPort{&o.health}, "healthz-bind-address", "where load balancers ask whether this node is "+
		"well: /healthz and /livez; empty: nowhere")
	flags.Var(optionalHostPort{&o.metrics}, "metrics-bind-address", "where /metrics, /healthz, /proxyMode and, for "+
		"'viaduct explain', /debug/services/NAMESPACE/NAME and /debug/trace of the proxy are; empty: nowhere")
}

const (
	defaultHealthPort  = "127.0.0.1:10256"
	defaultMetricsPort = "127.0.0.1:10249"
)

// optionalHostPort is a hostPort that may be empty.
type optionalHostPort struct{ value *string }

func (o optionalHostPort) String() string {
	if o.value == nil {
		return ""
	}
	return *o.value
}
func (o optionalHostPort) Type() string { return "ip:port" }
func (o optionalHostPort) Set(s string) error {
	if s == "" {
		*o.value = ""
		return nil
	}
	return hostPort(o).Set(s)
}

// parts answer for p, whose connections path carries.
func (o proxyPorts) parts(p *proxy.Proxy, path *dataPath, log *slog.Logger) (list []supervisor.Component) {
	if o.health != "" {
		list = append(list, portPart("proxy's health port", o.health, p.HealthHandler(), log))
	}
	if o.metrics != "" {
		list = append(list, portPart("proxy's metrics port", o.metrics, metricsHandler(p, path), log))
	}
	return list
}

func metricsHandler(p *proxy.Proxy, path *dataPath) http.Handler {
	mux := askable(append(p.Collectors(), dataPathMetrics{path}))
	mux.Handle("GET /debug/", p.QuestionHandler(path.Mode))
	mux.HandleFunc("GET /proxyMode", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, path.Mode()) })
	return mux
}
