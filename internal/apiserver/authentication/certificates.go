package authentication

import (
	"crypto/sha256"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

const (
	// maxCertificates bounds the cached certificates. Further clients cost a verification with every request.
	maxCertificates = 1024
	// certificateTTL is how long a verification is cached. The authority never changes while a server runs, so this only
	// frees memory.
	certificateTTL = 5 * time.Minute
)

// certificateCache caches the user of each client certificate. Verifying the chain of signatures with every request is
// much of the cost of a small write. TLS has verified that the client has the key.
type certificateCache struct {
	verify authenticator.Request
	known  *cache.LRUExpireCache // SHA-256 of a certificate → user.Info
}

// newCertificateCache caches what verify returns, which must be the same for a certificate until it expires.
func newCertificateCache(verify authenticator.Request) *certificateCache {
	return &certificateCache{verify: verify, known: cache.NewLRUExpireCache(maxCertificates)}
}

// AuthenticateRequest implements authenticator.Request.
func (c *certificateCache) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, false, nil
	}
	certificate := r.TLS.PeerCertificates[0]
	digest := sha256.Sum256(certificate.Raw)
	if who, ok := c.known.Get(digest); ok {
		return &authenticator.Response{User: who.(user.Info)}, true, nil // a new Response: callers may change it
	}
	response, ok, err := c.verify.AuthenticateRequest(r)
	if err == nil && ok {
		c.known.Add(digest, response.User, min(certificateTTL, time.Until(certificate.NotAfter)))
	}
	return response, ok, err
}
