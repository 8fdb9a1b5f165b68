package apiserver

import (
	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// issuer is what this server calls itself in tokens, and whom a token has to be for by which somebody logs in to it; upstream's default.
const issuer = "https://kubernetes.default.svc.cluster.local"

// logins are the ways to log in.
type logins struct {
	requests authenticator.Request // by anything; nobody else gets further than publicPaths
	tokens   authenticator.Request // by a bearer token only, and it tells whom the token is for
}

// newLogins accepts client certificates of ca and the given tokens. Those that know nothing of audiences are for this server.
func newLogins(ca dynamiccertificates.CAContentProvider, tokens ...authenticator.Token) *logins {
	for i, token := range tokens {
		tokens[i] = authenticator.WrapAudienceAgnosticToken(authenticator.Audiences{issuer}, token)
	}
	bearer := group.NewAuthenticatedGroupAdder(bearertoken.New(tokenunion.New(tokens...)))
	certificates := group.NewAuthenticatedGroupAdder(x509.NewDynamic(ca.VerifyOptions, x509.CommonNameUserConversion))
	var conditions []apiserverconfig.AnonymousAuthCondition
	for _, path := range publicPaths() {
		conditions = append(conditions, apiserverconfig.AnonymousAuthCondition{Path: path})
	}
	return &logins{
		requests: union.NewFailOnError(union.New(certificates, bearer), anonymous.NewAuthenticator(conditions)),
		tokens:   bearer,
	}
}
