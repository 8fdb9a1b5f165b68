package apiserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/apitest"
	"viaduct/internal/apiserver/store"
)

func TestSnapshotIsForAdministrators(t *testing.T) {
	server := apitest.Start(t)
	text, err := server.Client(t).CoreV1().RESTClient().Get().AbsPath(apiserver.SnapshotPath).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if contents, err := store.Verify(path); err != nil || contents.Keys < 5 {
		t.Errorf("the snapshot holds %+v, %v; want what every cluster has at least", contents, err)
	}
	for _, user := range []string{apiserver.UserController, apiserver.UserProxy, apiserver.UserNodePrefix +
		apitest.NodeName} {
		if _, err := server.ClientAs(t, user).CoreV1().RESTClient().Get().AbsPath(apiserver.SnapshotPath).DoRaw(
			t.Context()); !apierrors.IsForbidden(err) {
			t.Errorf("%s is answered %v, want 403", user, err)
		}
	}
	if _, err := server.Client(t).CoreV1().RESTClient().Post().AbsPath(apiserver.SnapshotPath).DoRaw(
		t.Context()); !apierrors.IsMethodNotSupported(err) {
		t.Errorf("POST is answered %v, want 405", err)
	}
}

func TestNoSnapshotOfAClusterElsewhere(t *testing.T) {
	server := apitest.StartWith(t, apiserver.Options{DataDir: t.TempDir(), Etcd: apitest.Etcd(t)})
	err := server.Client(t).CoreV1().RESTClient().Get().AbsPath(apiserver.SnapshotPath).Do(t.Context()).Error()
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "etcdctl snapshot save") {
		t.Errorf("answered %v, want a 400 that says what to do", err)
	}
	entries, err := os.ReadDir(server.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != "pki" && name != "kubeconfig" {
			t.Errorf("the data directory of a server without a store of its own has %s", name)
		}
	}
}
