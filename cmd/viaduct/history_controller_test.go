package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/util/cert"
)

// A controller's certificate is verified unless the controller is on a loopback address: the bearer token is sent with
// the request.
func TestHistoryAsksVerifiedControllers(t *testing.T) {
	certificate, ca := certificateFor(t, "controller.example", net.IPv4(127, 0, 0, 1), net.IPv4zero)
	_, otherCA := certificateFor(t, "other.example")
	var seen atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer secret" {
			seen.Add(1)
		}
		if r.URL.Path == "/elsewhere" {
			http.Redirect(w, r, "/debug", http.StatusFound)
			return
		}
		_, _ = w.Write([]byte("[]"))
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	defer server.Close()
	// This host, by an address that is no loopback address.
	outside := strings.Replace(server.URL, "127.0.0.1", "0.0.0.0", 1)
	for name, tt := range map[string]struct {
		access controllerAccess
		path   string
		says   string // of the error; "": it answers
		sent   int64  // how often the token arrives
	}{
		"loopback, its own certificate": {controllerAccess{url: server.URL}, "/debug", "", 1},
		"loopback, the right CA":        {controllerAccess{url: server.URL, caFile: ca}, "/debug", "", 1},
		"loopback, another CA":          {controllerAccess{url: server.URL, caFile: otherCA}, "/debug", "certificate", 0},
		"another host, no CA":           {controllerAccess{url: outside}, "/debug", "certificate", 0},
		"another host, the right CA":    {controllerAccess{url: outside, caFile: ca}, "/debug", "", 1},
		"no file": {controllerAccess{url: server.URL, caFile: "/nowhere"}, "/debug", "--controller-ca",
			0},
		"plain HTTP to another host": {controllerAccess{url: "http://192.0.2.1:1"}, "/debug", "must be an https URL", 0},
		"no URL":                     {controllerAccess{url: "controller"}, "/debug", "must be an https URL", 0},
		"a redirect":                 {controllerAccess{url: server.URL}, "/elsewhere", "Found", 1},
	} {
		t.Run(name, func(t *testing.T) {
			seen.Store(0)
			tt.access.token = "secret"
			_, err := tt.access.get(t.Context(), tt.path)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
			if got := seen.Load(); got != tt.sent {
				t.Errorf("the token arrived %d times, want %d", got, tt.sent)
			}
		})
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{"127.0.0.1": true, "127.9.9.9": true, "::1": true, "localhost": true,
		"::ffff:127.0.0.1": true, "192.0.2.1": false, "localhost.example": false, "127.0.0.1.example": false, "": false} {
		if isLoopback(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}

// certificateFor makes a certificate, and a file with the authority that signed it.
func certificateFor(t *testing.T, host string, ips ...net.IP) (tls.Certificate, string) {
	t.Helper()
	data, key, err := cert.GenerateSelfSignedCertKey(host, ips, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(data, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return pair, file
}
