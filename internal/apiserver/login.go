package apiserver

import (
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/mux"
	"viaduct/internal/apiserver/tokens"
)

// issuer is what this server calls itself in tokens, and whom a token has to be for by which somebody logs in to it;
// upstream's default.
const issuer = "https://kubernetes.default.svc.cluster.local"

// logins are the ways to log in.
type logins struct {
	requests authenticator.Request // by anything; nobody else gets further than publicPaths
	tokens   authenticator.Request // by a bearer token only, and it tells whom the token is for
	users    *tokenLogin
	accounts *accountLogin
}

// newLogins accepts client certificates of ca, tokens of users and of the authority's ServiceAccounts, and those that
// others know. Before the first request, follow must say where the objects behind the tokens are.
func newLogins(ca dynamiccertificates.CAContentProvider, authority *tokens.Authority,
	others ...authenticator.Token) *logins {
	l := &logins{users: newTokenLogin(), accounts: &accountLogin{authority: authority}}
	forUs := func(t authenticator.Token) authenticator.Token { // they know nothing of audiences
		return authenticator.WrapAudienceAgnosticToken(authenticator.Audiences{issuer}, t)
	}
	bearer := group.NewAuthenticatedGroupAdder(bearertoken.New(tokenunion.New(forUs(tokenunion.New(others...)),
		forUs(l.users), l.accounts)))
	certificates := group.NewAuthenticatedGroupAdder(newCertificateLogin(x509.NewDynamic(ca.VerifyOptions,
		x509.CommonNameUserConversion)))
	var conditions []apiserverconfig.AnonymousAuthCondition
	for _, path := range publicPaths() {
		conditions = append(conditions, apiserverconfig.AnonymousAuthCondition{Path: path})
	}
	l.requests = union.NewFailOnError(union.New(certificates, bearer), anonymous.NewAuthenticator(conditions))
	l.tokens = bearer
	return l
}

// newLogins are those of s: of its parts, of the users of a token file, and of those known to the API.
func (s *Server) newLogins(ca dynamiccertificates.CAContentProvider, users authenticator.Token) (*logins, error) {
	key, err := s.pki.AccountKey()
	if err != nil {
		return nil, err
	}
	authority, err := tokens.NewAuthority(issuer, key)
	if err != nil {
		return nil, fmt.Errorf("the key of service accounts' tokens: %w", err)
	}
	return newLogins(ca, authority, tokenfile.New(s.tokens.known), users), nil
}

// follow says where the objects are that stand behind tokens.
func (l *logins) follow(s *stores) {
	l.users.secrets = s.secrets
	l.accounts.accounts = accountStoresOf(s)
}

// install adds the resources that are about logging in, and what is published for other servers.
func (l *logins) install(b *builder, s *Server) error {
	reviewers{authorizer: s.authorizer, rules: s.rules, tokens: l.tokens, audience: issuer}.install(b)
	b.add(corev1.Resource("serviceaccounts"), "token", &tokenRequestREST{stores: l.accounts.accounts,
		authority: l.accounts.authority})
	reached := s.advertised()
	if !reached.IsValid() {
		reached = s.address()
	}
	return l.publish(s.generic.Handler.NonGoRestfulMux, "https://"+reached.String())
}

// publish serves what others need to check the tokens of ServiceAccounts. server is where they reach this one.
func (l *logins) publish(at *mux.PathRecorderMux, server string) error {
	configuration, err := l.accounts.authority.Configuration(server + tokens.KeysPath)
	if err != nil {
		return err
	}
	keys, err := l.accounts.authority.Keys()
	if err != nil {
		return err
	}
	at.Handle(tokens.ConfigurationPath, document("application/json", configuration))
	at.Handle(tokens.KeysPath, document("application/jwk-set+json", keys))
	return nil
}

// document serves text that never changes.
func document(contentType string, text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Write(text) // a client that has gone needs no answer
	}
}
