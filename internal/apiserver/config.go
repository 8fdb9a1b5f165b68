package apiserver

import (
	"context"
	"fmt"
	"net/http"
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
	"viaduct/internal/apiserver/admission"
	"viaduct/internal/apiserver/authentication"
	"viaduct/internal/apiserver/openapi"
	"viaduct/internal/apiserver/resource"
)

// genericConfig is what the library's server is configured from.
type genericConfig struct {
	credentials *credentials
	builder     *resource.Builder
	authn       *authentication.Authenticator
	authz       *authorization
	admission   admission.Chain
}

// newGeneric returns the library's server, without resources. It leaves out what kube-apiserver has and this server
// does not use: priority and fairness, audit, webhooks, aggregation.
func (s *Server) newGeneric(g genericConfig) (*genericapiserver.GenericAPIServer, error) {
	if err := setFeatureGates(); err != nil {
		return nil, err
	}
	schemes := g.builder.Schemes()
	c := genericapiserver.NewConfig(schemes.Codecs)
	serving := g.credentials.serving
	cert, err := dynamiccertificates.NewStaticCertKeyContent("serving", serving.Cert, serving.Key)
	if err != nil {
		return nil, err
	}
	c.SecureServing = &genericapiserver.SecureServingInfo{Listener: s.listener, Cert: cert,
		ClientCA: g.credentials.clientCA}
	c.Authentication.Authenticator = g.authn.Requests
	c.Authorization.Authorizer, c.RuleResolver = g.authz.authorizer, g.authz.rules
	c.AdmissionControl = g.admission
	c.LoopbackClientConfig = s.ClientConfig(UserAdmin)
	c.ExternalAddress = s.address().String()
	c.EffectiveVersion = shownVersion{utilcompatibility.DefaultBuildEffectiveVersion()}
	c.FlowControl = nil
	c.StorageObjectCountTracker = nil
	// Without it, one open watch delays the shutdown by a request timeout.
	c.ShutdownWatchTerminationGracePeriod = 500 * time.Millisecond
	c.LongRunningFunc = longRunning(
		genericfilters.BasicLongRunningRequestCheck(sets.NewString("watch"), sets.NewString("proxy")))
	deprecated := deprecatedResources(g.builder.Served(), schemes)
	c.BuildHandlerChainFunc = func(api http.Handler, c *genericapiserver.Config) http.Handler {
		return genericapiserver.DefaultBuildHandlerChain(warnOfDeprecated(api, deprecated), c)
	}
	setOpenAPI(c, schemes)
	server, err := c.Complete(nil).New("viaduct", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("preparing the API server: %w", err)
	}
	return server, nil
}

// setFeatureGates sets the feature gates that differ from the library's defaults. They belong to the process; every
// server sets them alike.
func setFeatureGates() error {
	// ListFromCacheSnapshot copies the index of all objects with each write, so that lists of old versions need no etcd.
	// That is a quarter of a busy server's memory. Such lists are the later pages of long ones, and etcd answers them.
	return utilfeature.DefaultMutableFeatureGate.SetFromMap(map[string]bool{string(features.ListFromCacheSnapshot): false})
}

func setOpenAPI(c *genericapiserver.Config, schemes *resource.Schemes) {
	names := apiopenapi.NewDefinitionNamer(schemes.Documented)
	c.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, names)
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, names)
	c.OpenAPIConfig.Info.Title, c.OpenAPIV3Config.Info.Title = "Viaduct", "Viaduct"
}

// namedCheck returns a health check that calls check.
func namedCheck(name string, check func(context.Context) error) healthz.HealthChecker {
	return healthz.NamedCheck(name, func(r *http.Request) error { return check(r.Context()) })
}

// The release in KubernetesVersion.
const versionMajor, versionMinor = 1, 36

// KubernetesVersion is the Kubernetes release whose behaviour this server has.
const KubernetesVersion = "v1.36.2"

// shownVersion answers /version with KubernetesVersion. The library would answer with its own version.
type shownVersion struct{ compatibility.EffectiveVersion }

func (v shownVersion) Info() *version.Info {
	info := *v.EffectiveVersion.Info()
	info.Major, info.Minor, info.GitVersion = "1", "36", KubernetesVersion+"+viaduct"
	info.EmulationMajor, info.EmulationMinor, info.MinCompatibilityMajor, info.MinCompatibilityMinor = "1", "36", "1", "35"
	info.GitCommit, info.GitTreeState, info.BuildDate = "", "", ""
	return &info
}
