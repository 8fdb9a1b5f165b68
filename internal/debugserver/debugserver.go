// Package debugserver serves the metrics, health checks and debug endpoints of Viaduct's components over HTTP. It has
// the listeners, the limits of time and the access check. The handlers themselves belong to the components.
package debugserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/util/cert"
)

// Metrics returns a handler with the metrics of a component and of its process.
func Metrics(component []prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(component...)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// NewMux returns a mux with /metrics, and with /healthz, which always answers "ok".
func NewMux(component []prometheus.Collector) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", Metrics(component))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	return mux
}

// ListenTLS listens on a port with a new self-signed certificate for address.
func ListenTLS(address net.IP, port uint16) (net.Listener, error) {
	own, err := selfSigned(address)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return tls.Listen("tcp", net.JoinHostPort(address.String(), strconv.Itoa(int(port))), &tls.Config{
		Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
}

func selfSigned(address net.IP) (tls.Certificate, error) {
	certificate, key, err := cert.GenerateSelfSignedCertKey(address.String(), []net.IP{address}, []string{"localhost"})
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, key)
}

// Serve serves h on l until ctx ends. It logs failed connections at debug level.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: time.Minute, ErrorLog: slog.NewLogLogger(log.With("part", "debug").Handler(), slog.LevelDebug)}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP on %s: %w", l.Addr(), err)
	}
	return nil
}

// retryInterval is the time between two attempts to listen, which is kube-proxy's.
const retryInterval = 5 * time.Second

// A Port is an address that a component answers on without TLS.
type Port struct {
	Name    string // for logs, for example "proxy metrics"
	Address string // HOST:PORT
	Default bool   // the user did not choose the address, so a conflict is only logged at info level
}

// ListenAndServe serves h on p until ctx ends. If the address is in use, it logs that once and tries again every five
// seconds: a component works without its port.
func ListenAndServe(ctx context.Context, p Port, h http.Handler, log *slog.Logger) error {
	level := slog.LevelWarn
	if p.Default {
		level = slog.LevelInfo
	}
	for logged := false; ; logged = true {
		l, err := net.Listen("tcp", p.Address)
		if err == nil {
			return Serve(ctx, l, h, log)
		}
		if !logged {
			log.Log(ctx, level, "cannot listen, will retry", "port", p.Name, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryInterval):
		}
	}
}
