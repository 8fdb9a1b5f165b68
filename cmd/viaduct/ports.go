package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"viaduct/internal/supervisor"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsOf answers with metrics of one part, and with those of its process.
func metricsOf(part []prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(part...)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// askable answers with the metrics of one part, and that its process lives.
func askable(part []prometheus.Collector) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metricsOf(part))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	return mux
}

// portRetry is how often a port that somebody else has is tried again: kube-proxy's interval.
const portRetry = 5 * time.Second

// portPart serves h at address. A port that is taken is told once and tried again: a part is worth more than its port.
func portPart(name, address string, h http.Handler, log *slog.Logger) supervisor.Component {
	return supervisor.Component{Name: name, Run: func(ctx context.Context) error {
		var l net.Listener
		for told := false; l == nil; told = true {
			var err error
			if l, err = net.Listen("tcp", address); err == nil {
				break
			}
			level := slog.LevelWarn
			if slices.Contains([]string{defaultHealthPort, defaultMetricsPort, defaultAgentPort}, address) {
				level = slog.LevelInfo // nobody asked for it: several of us may run on one host
			}
			if !told {
				log.Log(ctx, level, "nobody can ask at the "+name+", it is tried again", "err", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(portRetry):
			}
		}
		server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
			WriteTimeout: time.Minute}
		defer context.AfterFunc(ctx, func() { _ = server.Close() })()
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("answering at the %s: %w", name, err)
		}
		return nil
	}}
}
