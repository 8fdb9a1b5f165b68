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

// healthChecks are the servers that load balancers ask, one for each Service that has a health check. They belong to
// the loop's goroutine.
type healthChecks struct {
	healthy func() bool // whether this proxy does its work
	servers map[routing.Name]*checkServer
}

// checkServer answers for one Service on all addresses of node ports.
type checkServer struct {
	at      []netip.AddrPort
	servers []*http.Server
	now     atomic.Pointer[routing.HealthCheck]
}

func newHealthChecks(healthy func() bool) *healthChecks {
	return &healthChecks{healthy: healthy, servers: map[routing.Name]*checkServer{}}
}

// apply makes the server of a Service what it is to be: want says nothing if there is to be none. The error says that a
// port could not be had; the call is to be repeated then.
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

// close ends the servers in order: whoever is being answered gets the answer, whoever comes later is refused.
func (s *checkServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, one := range s.servers {
		if err := one.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			_ = one.Close() // a client that does not read
		}
	}
}

func (h *healthChecks) close() {
	for name, s := range h.servers {
		s.close()
		delete(h.servers, name)
	}
}

// checkBody is what load balancers are told, in the words of kube-proxy.
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

// answer says yes or no, in the manner of kube-proxy.
func answer(w http.ResponseWriter, yes bool, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !yes {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(body) // the client has gone: nobody is to be told
}
