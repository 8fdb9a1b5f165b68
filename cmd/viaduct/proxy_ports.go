package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"

	"viaduct/internal/proxy"
)

// proxyPorts say where the proxy can be asked. The flags and the ports are kube-proxy's; nothing listens beyond loopback unless asked.
type proxyPorts struct{ health, metrics string }

func (o *proxyPorts) register(flags *pflag.FlagSet) {
	o.health, o.metrics = defaultHealthPort, defaultMetricsPort
	flags.Var(optionalHostPort{&o.health}, "healthz-bind-address", "where load balancers ask whether this node is well: /healthz and /livez; empty: nowhere")
	flags.Var(optionalHostPort{&o.metrics}, "metrics-bind-address", "where /metrics, /healthz, /proxyMode and, for 'viaduct explain', /debug/services/NAMESPACE/NAME and /debug/trace of the proxy are; empty: nowhere")
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
func (o proxyPorts) parts(p *proxy.Proxy, path *dataPath, log *slog.Logger) (list []part) {
	if o.health != "" {
		list = append(list, portPart("health port", o.health, p.HealthHandler(), log))
	}
	if o.metrics != "" {
		list = append(list, portPart("metrics port", o.metrics, metricsHandler(p, path), log))
	}
	return list
}

func metricsHandler(p *proxy.Proxy, path *dataPath) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(p.Collectors()...)
	registry.MustRegister(dataPathMetrics{path})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.Handle("GET /debug/", p.QuestionHandler(path.Mode))
	mux.HandleFunc("GET /proxyMode", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, path.Mode()) })
	return mux
}

// portRetry is how often a port that somebody else has is tried again: kube-proxy's interval.
const portRetry = 5 * time.Second

// portPart serves h at address. A port that is taken is told once and tried again: the proxy is worth more than its port.
func portPart(name, address string, h http.Handler, log *slog.Logger) part {
	return part{name: name, run: func(ctx context.Context) error {
		var l net.Listener
		for told := false; l == nil; told = true {
			var err error
			if l, err = net.Listen("tcp", address); err == nil {
				break
			}
			level := slog.LevelWarn
			if address == defaultHealthPort || address == defaultMetricsPort {
				level = slog.LevelInfo // nobody asked for it: several of us may run on one host
			}
			if !told {
				log.Log(ctx, level, "nobody can ask at the proxy's "+name+", it is tried again", "err", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(portRetry):
			}
		}
		server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute}
		defer context.AfterFunc(ctx, func() { _ = server.Close() })()
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("answering at the proxy's %s: %w", name, err)
		}
		return nil
	}}
}
