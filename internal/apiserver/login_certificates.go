package apiserver

import (
	"crypto/sha256"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

const (
	// maxCertificates bounds the certificates that are remembered; a client more costs what every client cost without.
	maxCertificates = 1024
	// certificateFor is how long one is remembered. The authority never changes while a server runs, so this only frees
	// memory.
	certificateFor = 5 * time.Minute
)

// certificateLogin remembers whom a client certificate logs in. To verify the chain of signatures with every request is
// a good part of what a small write costs; that the client has the key, TLS has made sure of when it connected.
type certificateLogin struct {
	verify authenticator.Request
	known  *cache.LRUExpireCache // SHA-256 of a certificate → user.Info
}

// newCertificateLogin remembers what verify says, which must be the same for a certificate until it expires.
func newCertificateLogin(verify authenticator.Request) *certificateLogin {
	return &certificateLogin{verify: verify, known: cache.NewLRUExpireCache(maxCertificates)}
}

// AuthenticateRequest implements authenticator.Request.
func (l *certificateLogin) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, false, nil
	}
	certificate := r.TLS.PeerCertificates[0]
	digest := sha256.Sum256(certificate.Raw)
	if who, ok := l.known.Get(digest); ok {
		return &authenticator.Response{User: who.(user.Info)}, true, nil // a new one: those who get it may write to it
	}
	login, ok, err := l.verify.AuthenticateRequest(r)
	if err == nil && ok {
		l.known.Add(digest, login.User, min(certificateFor, time.Until(certificate.NotAfter)))
	}
	return login, ok, err
}
