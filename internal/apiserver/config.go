package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/version"
	apiopenapi "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/features"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/apiserver/pkg/server/healthz"
	utilcompatibility "k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/compatibility"
	"viaduct/internal/apiserver/openapi"
	"viaduct/internal/apiserver/pki"
)

// config is the generic server's configuration: what kube-apiserver has and this server has no use for (priority and
// fairness, audit, webhooks, aggregation) is simply not switched on.
func (s *Server) config(schemes *schemes) (*genericapiserver.Config, error) {
	secure, ca, err := s.secureServing()
	if err != nil {
		return nil, err
	}
	users, err := userTokens(TokenFilePath(s.options.pkiDir()))
	if err != nil {
		return nil, err
	}
	if err := switchFeatures(); err != nil {
		return nil, err
	}
	c := genericapiserver.NewConfig(schemes.codecs)
	c.SecureServing = secure
	if s.logins, err = s.newLogins(ca, users); err != nil {
		return nil, err
	}
	c.Authentication.Authenticator = s.logins.requests
	c.Authorization.Authorizer, c.RuleResolver = s.authorizer, s.rules
	c.LoopbackClientConfig = s.ClientConfig(UserAdmin)
	c.ExternalAddress = s.address().String()
	c.EffectiveVersion = shownVersion{utilcompatibility.DefaultBuildEffectiveVersion()}
	c.FlowControl = nil
	c.StorageObjectCountTracker = nil
	// One open watch would otherwise hold up the shutdown for a whole request timeout.
	c.ShutdownWatchTerminationGracePeriod = 500 * time.Millisecond
	c.AdmissionControl = &admissionChain{}
	c.LongRunningFunc = genericfilters.BasicLongRunningRequestCheck(sets.NewString("watch"), sets.NewString("proxy"))
	c.LongRunningFunc = longRunning(c.LongRunningFunc)
	c.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		return genericapiserver.DefaultBuildHandlerChain(warnOfDeprecated(api), c)
	}
	setOpenAPI(c, schemes)
	return c, nil
}

// switchFeatures sets the gates that this server wants other than the library does. They are the process's; every
// server sets them alike.
func switchFeatures() error {
	// A copy of the index of all objects with each write, so that a list of an old version needs no etcd, is a quarter of
	// a busy server's memory. Such lists are the later pages of a long one, and etcd is in this process.
	return utilfeature.DefaultMutableFeatureGate.SetFromMap(map[string]bool{string(features.ListFromCacheSnapshot): false})
}

func setOpenAPI(c *genericapiserver.Config, schemes *schemes) {
	names := apiopenapi.NewDefinitionNamer(schemes.documented)
	c.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, names)
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, names)
	c.OpenAPIConfig.Info.Title, c.OpenAPIV3Config.Info.Title = "Viaduct", "Viaduct"
}

func (s *Server) secureServing() (*genericapiserver.SecureServingInfo, dynamiccertificates.CAContentProvider, error) {
	files, err := s.servingPair()
	if err != nil {
		return nil, nil, fmt.Errorf("certifying the server: %w", err)
	}
	cert, err := dynamiccertificates.NewStaticCertKeyContent("serving", files.Cert, files.Key)
	if err != nil {
		return nil, nil, err
	}
	ca, err := dynamiccertificates.NewStaticCAContent("client-ca", s.pki.CAPEM())
	if err != nil {
		return nil, nil, err
	}
	return &genericapiserver.SecureServingInfo{Listener: s.listener, Cert: cert, ClientCA: ca}, ca, nil
}

// servingPair certifies every name and address by which the server may be called.
func (s *Server) servingPair() (pki.Pair, error) {
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	addrs := []net.IP{
		net.IPv4(127, 0, 0, 1), net.IPv6loopback,
		s.address().Addr().AsSlice(), s.clusterIP.AsSlice(),
	}
	if s.options.Advertise.IsValid() {
		addrs = append(addrs, s.options.Advertise.AsSlice())
	}
	for _, a := range s.options.AlsoListen {
		addrs = append(addrs, a.AsSlice())
	}
	if s.listensEverywhere() {
		everywhere, err := hostAddrs()
		if err != nil {
			return pki.Pair{}, err
		}
		addrs = append(addrs, everywhere...)
	}
	return s.pki.Serving(names, addrs)
}

// hostAddrs are the addresses of this host.
func hostAddrs() ([]net.IP, error) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing the addresses of this host: %w", err)
	}
	var addrs []net.IP
	for _, a := range interfaces {
		if ipnet, ok := a.(*net.IPNet); ok {
			addrs = append(addrs, ipnet.IP)
		}
	}
	return addrs, nil
}

// namedCheck makes a health check of a function.
func namedCheck(name string, check func(context.Context) error) healthz.HealthChecker {
	return healthz.NamedCheck(name, func(r *http.Request) error { return check(r.Context()) })
}

// KubernetesVersion is the release whose behaviour this server has.
const KubernetesVersion = "v1.36.2"

// shownVersion answers /version with the release whose behaviour this is; the library that serves it has a version of
// its own.
type shownVersion struct{ compatibility.EffectiveVersion }

func (v shownVersion) Info() *version.Info {
	info := *v.EffectiveVersion.Info()
	info.Major, info.Minor, info.GitVersion = "1", "36", KubernetesVersion+"+viaduct"
	info.EmulationMajor, info.EmulationMinor, info.MinCompatibilityMajor, info.MinCompatibilityMinor = "1", "36", "1", "35"
	info.GitCommit, info.GitTreeState, info.BuildDate = "", "", ""
	return &info
}
