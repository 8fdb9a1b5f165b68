package apiserver

import (
	"context"
	"fmt"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"viaduct/internal/apiserver/admission"
	"viaduct/internal/apiserver/authentication"
	"viaduct/internal/apiserver/bootstrap"
	"viaduct/internal/apiserver/connect"
	"viaduct/internal/apiserver/kinds"
	"viaduct/internal/apiserver/pki"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/reviews"
	"viaduct/internal/apiserver/store"
	"viaduct/internal/apiserver/tokens"
	"viaduct/internal/apiserver/validation"
)

// assemble makes every part of the server, each from the parts made before. It begins with the credentials, which need
// no store. Then it makes the kinds, the authorization, the library's server, and what that server serves.
func (s *Server) assemble(ctx context.Context) (*parts, error) {
	c, err := s.openCredentials()
	if err != nil {
		return nil, err
	}
	etcd, err := s.store()
	if err != nil {
		return nil, err
	}
	b := resource.NewBuilder()
	set := s.declareKinds(b, etcd)
	authz, err := newAuthorization(set.Pods)
	if err != nil {
		return nil, err
	}
	authn := s.newAuthenticator(c, set)
	if err := s.declareHandlers(b, set, authn, authz); err != nil {
		return nil, err
	}
	boot := bootstrap.New(bootstrap.Config{Etcd: etcd, Kinds: set, ClusterIP: s.clusterIP, Port: s.address().Port(),
		Advertise: s.advertised(), Log: s.log})
	if err := b.Complete(etcd); err != nil {
		return nil, err
	}
	generic, err := s.newGeneric(genericConfig{credentials: c, builder: b, authn: authn, authz: authz,
		admission: s.newAdmission(set, authz)})
	if err != nil {
		return nil, err
	}
	complete := false
	defer func() {
		if !complete {
			generic.Destroy()
		}
	}()
	roles := bootstrap.NewRoles(set.RBAC, authz.rbac, b.Served(), s.log)
	if err := s.install(generic, b, installed{etcd, set, authn, boot, roles}); err != nil {
		return nil, err
	}
	if err := b.WaitForCaches(ctx); err != nil {
		return nil, err
	}
	if err := set.Allocation.Start(ctx); err != nil {
		return nil, err
	}
	complete = true
	return &parts{pki: c.pki, kinds: set, generic: generic, lifecycle: s.newLifecycle(b, set, c.pki)}, nil
}

// credentials are the certificates and keys of this server, and those with which it verifies clients.
type credentials struct {
	pki       *pki.Authority
	serving   pki.Pair
	clientCA  dynamiccertificates.CAContentProvider // verifies client certificates
	accounts  *tokens.Authority                     // signs the tokens of ServiceAccounts
	tokenFile *tokenfile.TokenAuthenticator
}

func (s *Server) openCredentials() (*credentials, error) {
	var c credentials
	var err error
	if c.pki, err = pki.Open(s.options.pkiDir()); err != nil {
		return nil, fmt.Errorf("opening the certificate authority: %w", err)
	}
	if c.serving, err = s.servingPair(c.pki); err != nil {
		return nil, fmt.Errorf("certifying the server: %w", err)
	}
	if c.clientCA, err = dynamiccertificates.NewStaticCAContent("client-ca", c.pki.CAPEM()); err != nil {
		return nil, err
	}
	key, err := c.pki.AccountKey()
	if err != nil {
		return nil, err
	}
	if c.accounts, err = tokens.NewAuthority(authentication.Issuer, key); err != nil {
		return nil, fmt.Errorf("the key of service accounts' tokens: %w", err)
	}
	c.tokenFile, err = authentication.ReadTokenFile(TokenFilePath(s.options.pkiDir()))
	return &c, err
}

func (s *Server) declareKinds(b *resource.Builder, etcd *store.Store) *kinds.Set {
	set := kinds.Declare(b, kinds.Config{
		Etcd: etcd, ServiceCIDRs: s.options.ServiceCIDRs, NodePorts: s.options.NodePorts,
		Rules: validation.Options{AllowLoopback: s.options.loopbackMode()}, Log: s.log,
	})
	for _, k := range s.options.Kinds {
		k.DeclareIn(b)
	}
	return set
}

func (s *Server) newAuthenticator(c *credentials, set *kinds.Set) *authentication.Authenticator {
	return authentication.New(authentication.Config{
		ClientCA: c.clientCA, PublicPaths: publicPaths(),
		Static:    []authenticator.Token{tokenfile.New(s.tokens.byToken), c.tokenFile},
		Authority: c.accounts,
		Bound: authentication.BoundObjects{Accounts: set.Accounts, Pods: set.Pods, Secrets: set.Secrets,
			Nodes: set.Nodes},
	})
}

// declareHandlers adds the resources and subresources that store nothing.
func (s *Server) declareHandlers(b *resource.Builder, set *kinds.Set, authn *authentication.Authenticator,
	authz *authorization) error {
	reviews.Declare(b, reviews.Config{Authorizer: authz.authorizer, Rules: authz.rules, Tokens: authn.BearerTokens,
		Audience: authentication.Issuer})
	authn.Declare(b)
	return connect.Declare(b, connect.Config{Services: set.Services, Endpoints: set.Endpoints, Pods: set.Pods,
		AllowLoopback: s.options.loopbackMode()})
}

func (s *Server) newAdmission(set *kinds.Set, authz *authorization) admission.Chain {
	return admission.New(admission.Config{
		Authorizer: authz.authorizer, RBAC: authz.rbac,
		Namespaces: set.Namespaces, Pods: set.Pods, Nodes: set.Nodes, Accounts: set.Accounts,
		Roles: set.RBAC.Roles, ClusterRoles: set.RBAC.ClusterRoles,
		AllowExternalIPs: s.options.AllowExternalIPs,
	})
}

// installed is what the library's server serves and runs.
type installed struct {
	etcd  *store.Store
	set   *kinds.Set
	authn *authentication.Authenticator
	boot  *bootstrap.Bootstrap
	roles *bootstrap.Roles
}

func (s *Server) install(generic *genericapiserver.GenericAPIServer, b *resource.Builder, i installed) error {
	generic.AddPostStartHookOrDie("viaduct-bootstrap", func(hook genericapiserver.PostStartHookContext) error {
		i.boot.Start(hook.Context)
		go i.boot.Run(hook.Context)
		return nil
	})
	generic.AddPostStartHookOrDie("viaduct-access", func(hook genericapiserver.PostStartHookContext) error {
		return i.roles.Start(hook.Context)
	})
	generic.AddPreShutdownHookOrDie("viaduct-leave", i.boot.Leave)
	reached := s.advertised()
	if !reached.IsValid() {
		reached = s.address()
	}
	if err := i.authn.Publish(generic.Handler.NonGoRestfulMux, "https://"+reached.String()); err != nil {
		return fmt.Errorf("publishing the keys of service accounts' tokens: %w", err)
	}
	serveSnapshots(generic, b.Schemes(), i.etcd)
	serveEmptyCRDList(generic)
	serveMetrics(generic, i.set.Allocation.Collectors())
	if err := addStoreChecks(generic, i.etcd); err != nil {
		return err
	}
	return b.Install(generic)
}
