// Package authentication finds the user of a request from a client certificate, a user's token or the token of a
// ServiceAccount. Requests for public paths need no credentials. The package also issues the tokens of ServiceAccounts,
// and publishes the keys with which other servers verify them.
package authentication

import (
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/mux"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/tokens"
	"viaduct/internal/apiserver/validation"
)

// Issuer is the issuer of ServiceAccount tokens, and the audience that a token must have to be accepted by this server.
// It is kube-apiserver's default.
const Issuer = "https://kubernetes.default.svc.cluster.local"

// Config says what requests are authenticated by. All fields are required, except Static.
type Config struct {
	ClientCA    dynamiccertificates.CAContentProvider // signs client certificates
	PublicPaths []string                              // are served to clients without credentials
	Static      []authenticator.Token                 // further tokens, tried first
	Authority   *tokens.Authority                     // signs the tokens of ServiceAccounts
	Bound       BoundObjects
}

// Authenticator authenticates requests.
type Authenticator struct {
	Requests     authenticator.Request // by every method
	BearerTokens authenticator.Request // by a token only; the response has the token's audiences

	authority *tokens.Authority
	bound     BoundObjects
}

// New returns the authenticator of a server.
func New(c Config) *Authenticator {
	// Tokens that have no audiences are meant for this server.
	forServer := func(t authenticator.Token) authenticator.Token {
		return authenticator.WrapAudienceAgnosticToken(authenticator.Audiences{Issuer}, t)
	}
	bearer := group.NewAuthenticatedGroupAdder(bearertoken.New(tokenunion.New(
		forServer(tokenunion.New(c.Static...)),
		forServer(newUserTokens(c.Bound.Secrets)),
		&accountTokens{authority: c.Authority, bound: c.Bound},
	)))
	certificates := group.NewAuthenticatedGroupAdder(newCertificateCache(x509.NewDynamic(c.ClientCA.VerifyOptions,
		x509.CommonNameUserConversion)))
	var public []apiserverconfig.AnonymousAuthCondition
	for _, path := range c.PublicPaths {
		public = append(public, apiserverconfig.AnonymousAuthCondition{Path: path})
	}
	return &Authenticator{
		Requests:     union.NewFailOnError(union.New(certificates, bearer), anonymous.NewAuthenticator(public)),
		BearerTokens: bearer,
		authority:    c.Authority, bound: c.Bound,
	}
}

// Declare adds the subresource serviceaccounts/token.
func (a *Authenticator) Declare(b *resource.Builder) {
	resource.AddDefaults(b, &authenticationv1.TokenRequest{}, validation.DefaultTokenRequest)
	b.AddGroup(resource.Group{Version: authenticationv1.SchemeGroupVersion, AddToScheme: authenticationv1.AddToScheme})
	b.Add(corev1.Resource("serviceaccounts"), "token", &tokenRequestREST{bound: a.bound, authority: a.authority})
}

// Publish serves what other servers need to verify the tokens of ServiceAccounts: OpenID discovery and the public keys.
// server is the URL at which they reach this one.
func (a *Authenticator) Publish(at *mux.PathRecorderMux, server string) error {
	configuration, err := a.authority.Configuration(server + tokens.KeysPath)
	if err != nil {
		return err
	}
	keys, err := a.authority.Keys()
	if err != nil {
		return err
	}
	at.Handle(tokens.ConfigurationPath, document("application/json", configuration))
	at.Handle(tokens.KeysPath, document("application/jwk-set+json", keys))
	return nil
}

// document serves a text that never changes.
func document(contentType string, text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Write(text) // an error means that the client has closed the connection
	}
}
