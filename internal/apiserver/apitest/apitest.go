// Package apitest starts the real API server for a test, with its own etcd on disk and TLS on a loopback port. Nothing
// is simulated.
package apitest

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"viaduct/internal/apiserver"
)

// NodeName is the node whose agent may authenticate to a test's server.
const NodeName = "node-1"

// startTimeout is far above the start time on the slowest machine.
const startTimeout = 60 * time.Second

// Server is a running API server that stops with its test.
type Server struct {
	*apiserver.Server
	DataDir string
	stop    func()
}

// Start starts a server with an empty store.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartIn(t, t.TempDir(), netip.MustParsePrefix("127.96.0.0/16"))
}

// StartIn starts a server on a data directory, which may hold the objects of an earlier server.
func StartIn(t testing.TB, dataDir string, serviceCIDR netip.Prefix) *Server {
	t.Helper()
	return StartWith(t, apiserver.Options{DataDir: dataDir, ServiceCIDRs: []netip.Prefix{serviceCIDR}})
}

// StartWith starts a server with options, of which only DataDir is required. Other zero values are set as in Start.
func StartWith(t testing.TB, options apiserver.Options) *Server {
	t.Helper()
	options.Listen = cmp.Or(options.Listen, "127.0.0.1:0")
	options.NodeName = cmp.Or(options.NodeName, NodeName)
	options.Log = cmp.Or(options.Log, slog.New(slog.DiscardHandler))
	if len(options.ServiceCIDRs) == 0 {
		options.ServiceCIDRs = []netip.Prefix{netip.MustParsePrefix("127.96.0.0/16")}
	}
	ctx, cancel := context.WithCancel(context.Background())
	server, err := apiserver.New(ctx, options)
	if err != nil {
		cancel()
		t.Fatalf("starting the API server: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	s := &Server{Server: server, DataDir: options.DataDir}
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the API server ended with: %v", err)
		}
		s.stop = func() {}
	}
	t.Cleanup(func() { s.stop() })
	select {
	case <-server.Ready():
	case err := <-done:
		t.Fatalf("the API server did not start: %v", err)
	case <-time.After(startTimeout):
		t.Fatalf("the API server was not ready within %s", startTimeout)
	}
	return s
}

// Stop stops the server before the test ends.
func (s *Server) Stop() { s.stop() }

// Config returns the configuration of an administrator's client.
func (s *Server) Config() *restclient.Config { return s.ClientConfig(apiserver.UserAdmin) }

// Client returns a client with an administrator's rights.
func (s *Server) Client(t testing.TB) *kubernetes.Clientset {
	t.Helper()
	return s.ClientAs(t, apiserver.UserAdmin)
}

// ClientAs returns a client with exactly the rights of one of Viaduct's components.
func (s *Server) ClientAs(t testing.TB, user string) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(s.ClientConfig(user))
	if err != nil {
		t.Fatal(err)
	}
	return client
}
