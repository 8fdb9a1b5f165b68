package authentication

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	certificates "k8s.io/apiserver/pkg/authentication/request/x509"
	"viaduct/internal/apiserver/pki"
)

// countingVerifier verifies certificates and counts the verifications.
type countingVerifier struct {
	authenticator.Request
	asked int
}

func (l *countingVerifier) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	l.asked++
	return l.Request.AuthenticateRequest(r)
}

func requestBy(t testing.TB, files pki.Pair) *http.Request {
	t.Helper()
	block, _ := pem.Decode(files.Cert)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}}
}

func newCountingVerifier(t testing.TB) (*pki.Authority, *countingVerifier) {
	t.Helper()
	ca, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CAPEM())
	options := certificates.DefaultVerifyOptions()
	options.Roots = roots
	return ca, &countingVerifier{Request: certificates.New(options, certificates.CommonNameUserConversion)}
}

func TestCertificateCache(t *testing.T) {
	ca, verify := newCountingVerifier(t)
	other, _ := newCountingVerifier(t)
	cached := newCertificateCache(verify)
	by := func(ca *pki.Authority, user string) *http.Request {
		files, err := ca.Client(user, "dev")
		if err != nil {
			t.Fatal(err)
		}
		return requestBy(t, files)
	}
	ann, bob, stranger := by(ca, "ann"), by(ca, "bob"), by(other, "ann")
	for _, c := range []struct {
		name  string
		by    *http.Request
		who   string // "": refused
		asked int    // from the start
	}{
		{"for the first time", ann, "ann", 1},
		{"again", ann, "ann", 1},
		{"another user", bob, "bob", 2},
		{"the first again", ann, "ann", 2},
		{"of another authority", stranger, "", 3},
		{"a failure is not cached", stranger, "", 4},
		{"no certificate", &http.Request{TLS: &tls.ConnectionState{}}, "", 4},
		{"no TLS", &http.Request{}, "", 4},
	} {
		got, ok, _ := cached.AuthenticateRequest(c.by)
		if ok != (c.who != "") || ok && got.User.GetName() != c.who || verify.asked != c.asked {
			t.Errorf("%s: %+v, verified %d times, want %q after %d", c.name, got, verify.asked, c.who, c.asked)
		}
	}
	first, _, _ := cached.AuthenticateRequest(ann)
	first.Audiences = authenticator.Audiences{"changed"} // callers may
	if again, _, _ := cached.AuthenticateRequest(ann); len(again.Audiences) > 0 {
		t.Errorf("a caller's change is visible to the next: %v", again.Audiences)
	}
}

func TestCertificateCacheExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, verify := newCountingVerifier(t)
		cached := newCertificateCache(verify)
		files, err := ca.Client("ann")
		if err != nil {
			t.Fatal(err)
		}
		ann := requestBy(t, files)
		end := time.Until(ann.TLS.PeerCertificates[0].NotAfter)
		time.Sleep(end - time.Second)
		if _, ok, err := cached.AuthenticateRequest(ann); !ok {
			t.Fatalf("in its last second: %v", err)
		}
		time.Sleep(2 * time.Second)
		if got, ok, _ := cached.AuthenticateRequest(ann); ok {
			t.Errorf("an expired certificate logs in %+v", got)
		}
	})
}

func BenchmarkCertificateCache(b *testing.B) {
	ca, verify := newCountingVerifier(b)
	files, err := ca.Client("ann")
	if err != nil {
		b.Fatal(err)
	}
	ann := requestBy(b, files)
	for name, cached := range map[string]authenticator.Request{"verified": verify.Request,
		"cached": newCertificateCache(verify)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, ok, err := cached.AuthenticateRequest(ann); !ok {
					b.Fatal(err)
				}
			}
		})
	}
}
