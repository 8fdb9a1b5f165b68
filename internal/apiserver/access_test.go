package apiserver_test

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
)

func TestAuthorizationOfParts(t *testing.T) {
	server := apitest.Start(t)
	proxy := server.ClientAs(t, apiserver.UserProxy)
	if _, err := proxy.CoreV1().Services("").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the proxy may not list services: %v", err)
	}
	if _, err := proxy.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the proxy lists secrets: %v", err)
	}
	node := server.ClientAs(t, apiserver.UserNodePrefix+apitest.NodeName)
	if err := node.CoreV1().Services("default").Delete(t.Context(), "kubernetes",
		metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a node deletes services: %v", err)
	}
}

func TestUnauthenticated(t *testing.T) {
	server := apitest.Start(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	t.Cleanup(client.CloseIdleConnections)
	for path, want := range map[string]int{
		"/readyz": 200, "/livez": 200, "/healthz": 200, "/version": 200,
		"/api/v1/services": 401, "/api": 401, "/openapi/v3": 401, "/metrics": 401,
	} {
		for _, token := range []string{"", "guess"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if token != "" {
				req.Header.Set("Authorization", "Bearer "+token)
				want = 401
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s with token %q: %d, want %d", path, token, resp.StatusCode, want)
			}
		}
	}
}

func TestFileModes(t *testing.T) {
	server := apitest.Start(t)
	for _, name := range []string{"kubeconfig", "pki/ca.key", "pki/ca.crt", "pki", "etcd"} {
		info, err := os.Stat(filepath.Join(server.DataDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", filepath.Join(server.DataDir, name), info.Mode())
		}
	}
}
