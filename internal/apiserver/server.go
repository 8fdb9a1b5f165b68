// Package apiserver is an API server for Services, Pods and the objects that belong to them. It uses k8s.io/apiserver
// over etcd. The etcd runs in the same process, or is a cluster that several servers share.
//
// It stores, defaults, validates and allocates; it does not decide which endpoints a Service has. This package puts the
// server together. The parts are packages of their own:
//
//	kinds           the API resources, one file each
//	resource        what makes a resource of a kind
//	admission       the admission plugins
//	authentication  who sends a request
//	access          what users may do; authorizer.go combines it with fixed rules
//	reviews         TokenReview, SubjectAccessReview and relatives
//	connect         the subresources services/proxy and pods/proxy
//	bootstrap       system namespaces, the Service kubernetes, built-in roles
//	lifecycle       namespaces that end, garbage collection
//	pki             certificates and keys
//	store           etcd
//	inprocess       requests of parts in the same process
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	restclient "k8s.io/client-go/rest"
	"viaduct/internal/apiserver/authentication"
	"viaduct/internal/apiserver/inprocess"
	"viaduct/internal/apiserver/kinds"
	"viaduct/internal/apiserver/lifecycle"
	"viaduct/internal/apiserver/pki"
	"viaduct/internal/apiserver/store"
)

// Server is one API server with its store.
type Server struct {
	options   Options
	log       *slog.Logger
	listener  net.Listener
	tokens    *partTokens
	clusterIP netip.Addr // of the Service kubernetes: the first of the primary range
	store     func() (*store.Store, error)
	closing   context.CancelFunc // ends what New started for the store
	ready     chan struct{}

	*parts // nil if New fails
}

// parts are the parts that Run starts. New puts them together once the store is open.
type parts struct {
	pki       *pki.Authority
	kinds     *kinds.Set
	generic   *genericapiserver.GenericAPIServer
	lifecycle *lifecycle.Lifecycle
}

// New opens the store, listens, and prepares everything else; it serves nothing yet. The caller must call Run, or Close
// instead.
func New(ctx context.Context, options Options) (*Server, error) {
	s := &Server{options: options, log: options.Log, tokens: newPartTokens(options.NodeName), ready: make(chan struct{})}
	if s.log == nil {
		s.log = slog.Default()
	}
	var err error
	if s.clusterIP, err = firstClusterIP(options.ServiceCIDRs); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(options.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	if s.listener, err = listen(options.Listen, options.AlsoListen); err != nil {
		return nil, fmt.Errorf("listening for API clients: %w", err)
	}
	ctx, s.closing = context.WithCancel(ctx)
	s.store = s.openStore(ctx)
	if s.parts, err = s.assemble(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// openStore begins to open the store, which is the slowest part of the start. The returned function waits for it.
func (s *Server) openStore(ctx context.Context) func() (*store.Store, error) {
	type result struct {
		store *store.Store
		err   error
	}
	done := make(chan result, 1)
	go func() {
		opened, err := store.Open(ctx, store.Options{
			Dir: StoreDir(s.options.DataDir), Cluster: s.options.Etcd, Quota: s.options.StoreQuota, Log: s.log,
		})
		done <- result{opened, err}
	}()
	return sync.OnceValues(func() (*store.Store, error) { r := <-done; return r.store, r.err })
}

// Run serves until ctx ends. Then it finishes the requests under way, closes the store, and returns.
func (s *Server) Run(ctx context.Context) error {
	defer s.closeStore()
	if err := s.writeAdminKubeconfig(); err != nil {
		return err
	}
	etcd, err := s.store()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { etcd.Keep(ctx) })
	running.Go(func() { s.kinds.Allocation.Run(ctx) })
	running.Go(func() { authentication.DeleteExpiredTokens(ctx, s.kinds.Secrets, s.log) })
	running.Go(s.beginLifecycle(ctx))
	go s.announceReady(ctx)
	if err := s.generic.PrepareRun().RunWithContext(ctx); err != nil {
		return fmt.Errorf("serving the API: %w", err)
	}
	return nil
}

// Close releases what New has taken, for a server that is not run. Run does so at its end.
func (s *Server) Close() {
	s.listener.Close()
	if s.parts != nil {
		s.generic.Destroy()
	}
	s.closeStore()
}

func (s *Server) closeStore() {
	s.closing()
	if etcd, err := s.store(); err == nil {
		etcd.Close()
	}
}

// Ready returns a channel that is closed when /readyz answers ok.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// announceReady polls the server's own readiness checks.
func (s *Server) announceReady(ctx context.Context) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !s.isReady(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	close(s.ready)
}

func (s *Server) isReady(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := inprocess.Transport{Handler: s.generic.Handler}.RoundTrip(req)
	return err == nil && resp.StatusCode == http.StatusOK
}

// Handle serves path by h, or every path below it if it ends with a slash. Clients need permission for the path by
// their roles. It must be called before Run.
func (s *Server) Handle(path string, h http.Handler) {
	if !strings.HasSuffix(path, "/") {
		s.generic.Handler.NonGoRestfulMux.Handle(path, h)
		return
	}
	s.generic.Handler.NonGoRestfulMux.HandlePrefix(path, h)
}

// ClientConfig returns how a part in this process reaches the server, as one of the Users of this package. It panics
// for another user. Requests are function calls; they pass the same checks as those over the network.
func (s *Server) ClientConfig(user string) *restclient.Config {
	token, ok := s.tokens.byUser[user]
	if !ok {
		panic(fmt.Sprintf("no part authenticates as %q", user))
	}
	return &restclient.Config{
		Host:        s.URL(),
		BearerToken: token,
		Transport: inprocess.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.generic.Handler.ServeHTTP(w, r)
		})},
		QPS: -1, // the server limits its load; waiting in the client only adds latency
		ContentConfig: restclient.ContentConfig{
			ContentType:        runtime.ContentTypeProtobuf,
			AcceptContentTypes: runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON,
		},
	}
}

// addStoreChecks adds kube-apiserver's checks of etcd, for liveness and for readiness.
func addStoreChecks(server *genericapiserver.GenericAPIServer, etcd *store.Store) error {
	return errors.Join(server.AddHealthChecks(namedCheck("etcd", etcd.Check)),
		server.AddReadyzChecks(namedCheck("etcd-readiness", etcd.Check)))
}
