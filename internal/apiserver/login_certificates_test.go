package apiserver

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

// countedLogin verifies for real, and counts how often.
type countedLogin struct {
	authenticator.Request
	asked int
}

func (l *countedLogin) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
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

func newCountedLogin(t testing.TB) (*pki.Authority, *countedLogin) {
	t.Helper()
	ca, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.CAPEM())
	options := certificates.DefaultVerifyOptions()
	options.Roots = roots
	return ca, &countedLogin{Request: certificates.New(options, certificates.CommonNameUserConversion)}
}

func TestCertificatesAreRemembered(t *testing.T) {
	ca, verify := newCountedLogin(t)
	other, _ := newCountedLogin(t)
	login := newCertificateLogin(verify)
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
		who   string // empty: nobody
		asked int    // from the start
	}{
		{"for the first time", ann, "ann", 1},
		{"again", ann, "ann", 1},
		{"another user", bob, "bob", 2},
		{"the first again", ann, "ann", 2},
		{"of another authority", stranger, "", 3},
		{"that one is not remembered", stranger, "", 4},
		{"no certificate", &http.Request{TLS: &tls.ConnectionState{}}, "", 4},
		{"no TLS", &http.Request{}, "", 4},
	} {
		got, ok, _ := login.AuthenticateRequest(c.by)
		if ok != (c.who != "") || ok && got.User.GetName() != c.who || verify.asked != c.asked {
			t.Errorf("%s: %+v, verified %d times, want %q after %d", c.name, got, verify.asked, c.who, c.asked)
		}
	}
	first, _, _ := login.AuthenticateRequest(ann)
	first.Audiences = authenticator.Audiences{"changed"} // as those who ask do
	if again, _, _ := login.AuthenticateRequest(ann); len(again.Audiences) > 0 {
		t.Errorf("what one caller wrote, the next reads: %v", again.Audiences)
	}
}

func TestCertificatesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, verify := newCountedLogin(t)
		login := newCertificateLogin(verify)
		files, err := ca.Client("ann")
		if err != nil {
			t.Fatal(err)
		}
		ann := requestBy(t, files)
		end := time.Until(ann.TLS.PeerCertificates[0].NotAfter)
		time.Sleep(end - time.Second)
		if _, ok, err := login.AuthenticateRequest(ann); !ok {
			t.Fatalf("in its last second: %v", err)
		}
		time.Sleep(2 * time.Second)
		if got, ok, _ := login.AuthenticateRequest(ann); ok {
			t.Errorf("an expired certificate logs in %+v", got)
		}
	})
}

func BenchmarkCertificateLogin(b *testing.B) {
	ca, verify := newCountedLogin(b)
	files, err := ca.Client("ann")
	if err != nil {
		b.Fatal(err)
	}
	ann := requestBy(b, files)
	for name, login := range map[string]authenticator.Request{"verified": verify.Request,
		"remembered": newCertificateLogin(verify)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, ok, err := login.AuthenticateRequest(ann); !ok {
					b.Fatal(err)
				}
			}
		})
	}
}
