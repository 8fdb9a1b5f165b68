package store

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestClusterCheck(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cluster Cluster
		wrong   string // in the error; empty: there is none
	}{
		{"none", Cluster{}, ""},
		{"plain", Cluster{Servers: []string{"http://127.0.0.1:2379"}}, ""},
		{"with all files", Cluster{Servers: []string{"https://a:2379", "https://[::1]:2379"}, CAFile: "ca", CertFile: "c",
			KeyFile: "k"}, ""},
		{"files without servers", Cluster{CAFile: "ca"}, "no URL"},
		{"a certificate without its key", Cluster{Servers: []string{"https://a:1"}, CertFile: "c"}, "both"},
		{"a key without its certificate", Cluster{Servers: []string{"https://a:1"}, KeyFile: "k"}, "both"},
		{"no scheme", Cluster{Servers: []string{"127.0.0.1:2379"}}, `"127.0.0.1:2379" is not the URL`},
		{"another scheme", Cluster{Servers: []string{"unix:///run/etcd"}}, "is not the URL"},
		{"no port", Cluster{Servers: []string{"https://etcd.example"}}, "https://etcd.example:2379"},
		{"empty", Cluster{Servers: []string{""}}, "is not the URL"},
		{"certificates for plain text", Cluster{Servers: []string{"http://a:1"}, CAFile: "ca"}, "not be encrypted"},
		{"one of several plain", Cluster{Servers: []string{"https://a:1", "http://b:1"}}, "different schemes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.cluster.Check()
			if tt.wrong == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
				t.Errorf("error %v, want one with %q", err, tt.wrong)
			}
		})
	}
}

// A failed start names the problem of each server.
func TestConnectSaysWhy(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	secure, strict := secureServer(t, tls.NoClientCert), secureServer(t, tls.RequireAnyClientCert)
	for name, tt := range map[string]struct {
		cluster Cluster
		says    string
	}{
		"nothing listens":    {Cluster{Servers: []string{"http://" + closed.Addr().String()}}, "connection refused"},
		"silent":             {Cluster{Servers: []string{"http://" + silent.Addr().String()}}, "does not answer"},
		"silent, with https": {Cluster{Servers: []string{"https://" + silent.Addr().String()}}, "deadline exceeded"},
		"unknown authority":  {Cluster{Servers: []string{secure.URL}}, "unknown authority"},
		"no client certificate": {Cluster{Servers: []string{strict.URL}, CAFile: authorityOf(t, strict)},
			"certificate required"},
		"https, but no etcd": {Cluster{Servers: []string{secure.URL}, CAFile: authorityOf(t, secure)}, "does not answer"},
		"no such file":       {Cluster{Servers: []string{secure.URL}, CAFile: "/no/such/ca.crt"}, "/no/such/ca.crt"},
		"each is named": {Cluster{Servers: []string{"http://" + silent.Addr().String(),
			"http://" + closed.Addr().String()}}, closed.Addr().String()},
		"not a URL": {Cluster{Servers: []string{"etcd"}}, "is not the URL"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err := connect(ctx, tt.cluster, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one with %q", err, tt.says)
			}
		})
	}
}

func secureServer(t *testing.T, clients tls.ClientAuthType) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.TLS = &tls.Config{ClientAuth: clients}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// authorityOf returns a file with the authority of a server's certificate.
func authorityOf(t *testing.T, s *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}),
		0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
