// Package apiserver serves the Kubernetes API for the objects of this field, on k8s.io/apiserver over an etcd in the
// same process.
//
// It stores, defaults, validates and allocates; it decides nothing about who is behind a Service. Each resource has one
// file, which says all that is particular to it; resources.go lists them.
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
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	authorizerunion "k8s.io/apiserver/pkg/authorization/union"
	genericapiserver "k8s.io/apiserver/pkg/server"
	restclient "k8s.io/client-go/rest"
	"viaduct/internal/apiserver/access"
	"viaduct/internal/apiserver/allocation"
	"viaduct/internal/apiserver/inprocess"
	"viaduct/internal/apiserver/lifecycle"
	"viaduct/internal/apiserver/pki"
	"viaduct/internal/apiserver/store"
	"viaduct/internal/apiserver/validation"
)

// Options say how a server is to run.
type Options struct {
	DataDir string // etcd, certificates and the kubeconfig; made if it is not there
	PKIDir  string // the certificate authority, which servers over one etcd share; empty: pki in DataDir
	Listen  string // host:port; port 0 picks a free one
	// AlsoListen are further addresses of this host to listen on, at the same port. They are certified, and where the
	// endpoints of the Service kubernetes send clients: the zero value is none.
	AlsoListen []netip.Addr
	// Advertise is the address by which other hosts reach the server; the zero value: where it listens, or if that is
	// everywhere, the address of the interface that has the default route.
	Advertise netip.Addr
	// Etcd is a cluster elsewhere, which several servers may share; the zero value is a store in this process, under
	// DataDir.
	Etcd       store.Cluster
	StoreQuota int64 // bytes that the store in this process may take; 0: 8 GiB
	// ServiceCIDRs are the ranges that ClusterIPs come from: one, or one of each family, the primary first. If the primary
	// is within 127.0.0.0/8, endpoints may be loopback addresses too.
	ServiceCIDRs []netip.Prefix
	NodePorts    allocation.PortRange // the ports that NodePort Services get theirs from; the zero value: 30000-32767
	// AllowExternalIPs lets everybody who may write a Service claim any address for it. Whoever does can take the traffic
	// to that address from every Pod (CVE-2020-8554), so by default only administrators may.
	AllowExternalIPs bool
	NodeName         string       // the node whose agent runs in this process, if any
	Log              *slog.Logger // nil: slog.Default()
}

func (o *Options) pkiDir() string {
	if o.PKIDir != "" {
		return o.PKIDir
	}
	return PKIDir(o.DataDir)
}

// PKIDir is where a data directory has its certificate authority, unless a server is given another place.
func PKIDir(dataDir string) string { return filepath.Join(dataDir, "pki") }

// Server is one API server with its store.
type Server struct {
	options  Options
	log      *slog.Logger
	listener net.Listener
	pki      *pki.Authority
	tokens   *partTokens
	logins   *logins
	generic  *genericapiserver.GenericAPIServer
	roles    *access.RBAC
	// authorizer says whether a user may do something, and rules lists what a user may do: what every request is checked
	// by.
	authorizer authorizer.Authorizer
	rules      authorizer.RuleResolver
	store      func() (*store.Store, error)
	stop       context.CancelFunc // ends what New started for the store
	boot       *bootstrap
	alloc      *allocations
	lifecycle  *lifecycle.Lifecycle
	// clusterIP is the address of the Service by which Pods reach the server: the first of the primary range, whoever
	// makes it.
	clusterIP netip.Addr
	ready     chan struct{}
}

// New opens the store, listens, and prepares everything else; it serves nothing yet. The caller must call Run, or Close
// if it won't.
func New(ctx context.Context, options Options) (*Server, error) {
	s := &Server{options: options, log: options.Log, tokens: newPartTokens(options.NodeName), ready: make(chan struct{})}
	if s.log == nil {
		s.log = slog.Default()
	}
	if err := s.checkRanges(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(options.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	var err error
	if s.listener, err = listen(options.Listen, options.AlsoListen); err != nil {
		return nil, fmt.Errorf("listening for API clients: %w", err)
	}
	ctx, s.stop = context.WithCancel(ctx)
	s.openStore(ctx)
	if err := s.prepare(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// openStore opens the store, the slowest part of the start, beside the rest; s.store waits for it.
func (s *Server) openStore(ctx context.Context) {
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
	s.store = sync.OnceValues(func() (*store.Store, error) { r := <-done; return r.store, r.err })
}

// StoreDir is where a data directory has its store.
func StoreDir(dataDir string) string { return filepath.Join(dataDir, "etcd") }

func (s *Server) prepare(ctx context.Context) error {
	var err error
	if s.pki, err = pki.Open(s.options.pkiDir()); err != nil {
		return fmt.Errorf("opening the certificate authority: %w", err)
	}
	nodes := access.NewNodes(boundPods{s})
	s.roles = access.NewRBAC()
	if s.authorizer, err = newAuthorizer(nodes, s.roles); err != nil {
		return err
	}
	s.rules = authorizerunion.NewRuleResolvers(nodes, s.roles)
	schemes := newSchemes()
	config, err := s.config(schemes)
	if err != nil {
		return err
	}
	if s.generic, err = config.Complete(nil).New("viaduct", genericapiserver.NewEmptyDelegate()); err != nil {
		return fmt.Errorf("preparing the API server: %w", err)
	}
	return s.installResources(ctx, schemes, config)
}

func (s *Server) installResources(ctx context.Context, schemes *schemes, config *genericapiserver.Config) error {
	etcd, err := s.store()
	if err != nil {
		return err
	}
	b := &builder{schemes: schemes, storage: &storageFactory{schemes: schemes, etcd: etcd}, rest: restByGroup{}}
	s.boot = &bootstrap{schemes: schemes, clusterIP: s.clusterIP, server: s.address(),
		peers: newPeers(etcd, s.advertised()), missing: make(chan struct{}, 1)}
	hooks := &serviceHooks{deleted: s.boot.isMissed}
	s.boot.stores, err = buildStores(b, validation.Options{AllowLoopback: s.loopbackMode()}, hooks)
	if err != nil {
		return err
	}
	s.alloc = newAllocations(&s.options, s.log, schemes, s.boot.stores, etcd)
	hooks.alloc, hooks.repairer = s.alloc.allocator, s.alloc.repairer
	s.logins.follow(s.boot.stores)
	if err := s.logins.install(b, s); err != nil {
		return fmt.Errorf("preparing the logins: %w", err)
	}
	s.generic.AddPostStartHookOrDie("viaduct-bootstrap", s.bootstrapHook)
	s.generic.AddPostStartHookOrDie("viaduct-access", s.accessHook)
	serveSnapshots(s.generic, schemes, etcd)
	serveNoDefinitions(s.generic)
	serveMetrics(s.generic, s.alloc.allocator.Collectors())
	s.generic.AddPreShutdownHookOrDie("viaduct-leave", s.boot.leave)
	if err := s.addStoreChecks(etcd); err != nil {
		return err
	}
	if s.lifecycle, err = s.newLifecycle(b); err != nil {
		return err
	}
	config.AdmissionControl.(*admissionChain).Chain = s.newAdmission()
	if err := b.installGroups(s.generic); err != nil {
		return fmt.Errorf("installing the API: %w", err)
	}
	if err := s.boot.waitForCaches(ctx); err != nil {
		return err
	}
	return s.alloc.start(ctx)
}

// addStoreChecks adds kube-apiserver's checks of its store: one that says it lives, and one that says it can be used.
func (s *Server) addStoreChecks(etcd *store.Store) error {
	return errors.Join(s.generic.AddHealthChecks(namedCheck("etcd", etcd.Check)),
		s.generic.AddReadyzChecks(namedCheck("etcd-readiness", etcd.Check)))
}

// loopbackMode is on where ClusterIPs are loopback addresses: there the host is the cluster, and a loopback address is
// as good an endpoint as any.
func (s *Server) loopbackMode() bool { return s.options.ServiceCIDRs[0].Addr().IsLoopback() }

func (s *Server) bootstrapHook(hook genericapiserver.PostStartHookContext) error {
	s.boot.begin(hook.Context, s.log)
	go s.boot.keep(hook.Context, s.log)
	return nil
}

// Run serves until ctx ends, then drains the requests under way, closes the store, and returns.
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
	var keeping sync.WaitGroup
	defer keeping.Wait()
	defer cancel()
	keeping.Go(func() { etcd.Keep(ctx) })
	keeping.Go(func() { s.alloc.run(ctx) })
	keeping.Go(func() { sweepTokens(ctx, s.boot.stores.secrets, s.log) })
	keeping.Go(s.beginLifecycle(ctx))
	go s.announceReady(ctx)
	if err := s.generic.PrepareRun().RunWithContext(ctx); err != nil {
		return fmt.Errorf("serving the API: %w", err)
	}
	return nil
}

// Close frees what New took, of a server that is not going to be run. (Run does so at its end.)
func (s *Server) Close() {
	s.listener.Close()
	if s.generic != nil {
		s.generic.Destroy()
	}
	s.closeStore()
}

func (s *Server) closeStore() {
	s.stop()
	if etcd, err := s.store(); err == nil {
		etcd.Close()
	}
}

// Ready is closed once /readyz answers ok.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// announceReady asks the server's own readiness checks until they agree.
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

// URL is where clients of this host reach the server.
func (s *Server) URL() string { return "https://" + s.address().String() }

// address is where the server listens; the loopback address of the family if it listens everywhere.
func (s *Server) address() netip.AddrPort {
	addr := s.listener.Addr().(*net.TCPAddr).AddrPort()
	ip := addr.Addr().Unmap()
	switch {
	case ip.IsUnspecified() && ip.Is4():
		ip = netip.MustParseAddr("127.0.0.1")
	case ip.IsUnspecified():
		ip = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(ip, addr.Port())
}

// advertised is where the endpoints of the Service kubernetes send clients; invalid if nobody elsewhere could reach it
// there.
func (s *Server) advertised() netip.AddrPort {
	at := s.address()
	switch {
	case s.options.Advertise.IsValid():
		at = netip.AddrPortFrom(s.options.Advertise, at.Port())
	case len(s.options.AlsoListen) > 0:
		at = netip.AddrPortFrom(s.options.AlsoListen[0], at.Port())
	case !s.loopbackMode() && s.listensEverywhere():
		if ip, err := utilnet.ResolveBindAddress(s.listener.Addr().(*net.TCPAddr).IP); err == nil {
			addr, _ := netip.AddrFromSlice(ip)
			at = netip.AddrPortFrom(addr.Unmap(), at.Port())
		}
	}
	if at.Addr().IsLoopback() && !s.loopbackMode() {
		return netip.AddrPort{} // and the API refuses such endpoints
	}
	return at
}

func (s *Server) listensEverywhere() bool { return s.listener.Addr().(*net.TCPAddr).IP.IsUnspecified() }

// Handle has h answer at path, or, if that ends with a slash, at everything under it, to those who may get it by their
// roles. It is to be called before Run.
func (s *Server) Handle(path string, h http.Handler) {
	if !strings.HasSuffix(path, "/") {
		s.generic.Handler.NonGoRestfulMux.Handle(path, h)
		return
	}
	s.generic.Handler.NonGoRestfulMux.HandlePrefix(path, h)
}

// ClientConfig is how a part in this process reaches the server, as one of the Users of this package. It panics for
// another user. Requests are function calls; they pass the same checks as those from outside.
func (s *Server) ClientConfig(user string) *restclient.Config {
	token, ok := s.tokens.byUser[user]
	if !ok {
		panic(fmt.Sprintf("no part logs in as %q", user))
	}
	return &restclient.Config{
		Host:        s.URL(),
		BearerToken: token,
		Transport: inprocess.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter,
			r *http.Request) {
			s.generic.Handler.ServeHTTP(w, r)
		})},
		QPS: -1, // the server limits what it takes; a part that waits for itself only adds latency
		ContentConfig: restclient.ContentConfig{
			ContentType:        runtime.ContentTypeProtobuf,
			AcceptContentTypes: runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON,
		},
	}
}

func (s *Server) writeAdminKubeconfig() error {
	admin, err := s.pki.Client(UserAdmin, "system:masters")
	if err != nil {
		return fmt.Errorf("certifying the administrator: %w", err)
	}
	return writeKubeconfig(s.options.DataDir, s.URL(), s.pki.CAPEM(), admin)
}
