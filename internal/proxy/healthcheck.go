package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"viaduct/internal/routing"
)

// healthChecks are the servers for load balancers, one for each Service with a health check. They belong to the loop's
// goroutine.
type healthChecks struct {
	healthy func() bool // reports whether this proxy works
	servers map[routing.Name]*checkServer
}

// checkServer serves the health check of one Service on all addresses for node ports.
type checkServer struct {
	at      []netip.AddrPort
	servers []*http.Server
	now     atomic.Pointer[routing.HealthCheck]
}

func newHealthChecks(healthy func() bool) *healthChecks {
	return &healthChecks{healthy: healthy, servers: map[routing.Name]*checkServer{}}
}

// apply starts, updates or closes the server of a Service. A nil want means that the Service has no health check. An
// error means that a port could not be bound; the caller must call apply again.
func (h *healthChecks) apply(name routing.Name, want *routing.HealthCheck, on []netip.Addr) error {
	var at []netip.AddrPort
	if want != nil {
		for _, a := range on {
			at = append(at, netip.AddrPortFrom(a, want.Port))
		}
	}
	s := h.servers[name]
	if s != nil && !slices.Equal(s.at, at) {
		s.close()
		delete(h.servers, name)
		s = nil
	}
	switch {
	case len(at) == 0:
		return nil
	case s != nil:
		s.now.Store(want)
		return nil
	}
	s, err := h.listen(want, at)
	if err == nil {
		h.servers[name] = s
	}
	return err
}

func (h *healthChecks) listen(want *routing.HealthCheck, at []netip.AddrPort) (*checkServer, error) {
	s := &checkServer{at: at}
	s.now.Store(want)
	for _, one := range at {
		l, err := net.Listen("tcp", one.String())
		if err != nil {
			s.close()
			return nil, fmt.Errorf("listening for health checks: %w", err)
		}
		server := &http.Server{Handler: h.handler(s), ReadHeaderTimeout: 10 * time.Second}
		s.servers = append(s.servers, server)
		go func() { _ = server.Serve(l) }() // ends with close
	}
	return s, nil
}

// close shuts the servers down gracefully. Running requests are answered, and new connections are refused.
func (s *checkServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, one := range s.servers {
		if err := one.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			_ = one.Close() // the client does not read
		}
	}
}

func (h *healthChecks) close() {
	for name, s := range h.servers {
		s.close()
		delete(h.servers, name)
	}
}

// checkBody is the body of an answer to a load balancer. The fields are those of kube-proxy.
type checkBody struct {
	Service struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"service"`
	LocalEndpoints      int  `json:"localEndpoints"`
	ServiceProxyHealthy bool `json:"serviceProxyHealthy"`
}

func (h *healthChecks) handler(s *checkServer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now, body := s.now.Load(), checkBody{}
		body.Service.Namespace, body.Service.Name = now.Service.Namespace, now.Service.Name
		body.LocalEndpoints, body.ServiceProxyHealthy = now.Local, h.healthy()
		text, err := json.MarshalIndent(body, "", "\t")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("X-Load-Balancing-Endpoint-Weight", strconv.Itoa(now.Local))
		answer(w, now.Local > 0 && body.ServiceProxyHealthy, text)
	})
}

// answer writes an answer as kube-proxy does: status 200 if yes, else 503.
func answer(w http.ResponseWriter, yes bool, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !yes {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(body) // the write fails only if the client has gone
}
