package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// configMaps is every ConfigMap of the namespace default by name, as of a revision; empty for the newest.
func configMaps(t testing.TB, client kubernetes.Interface, revision string) map[string]v1.ConfigMap {
	t.Helper()
	options := metav1.ListOptions{ResourceVersion: revision}
	if revision != "" {
		options.ResourceVersionMatch = metav1.ResourceVersionMatchExact
	}
	list, err := client.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]v1.ConfigMap{}
	for _, item := range list.Items {
		all[item.Name] = item
	}
	return all
}

// churn creates, changes and deletes ConfigMaps until ctx ends. started is closed when it is well under way.
func churn(ctx context.Context, client kubernetes.Interface, started chan<- struct{}) {
	api := client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("churned-%d", n%50)
		made, err := api.Create(ctx, &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name},
			Data: map[string]string{"n": fmt.Sprint(n)}}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			_ = api.Delete(ctx, name, metav1.DeleteOptions{})
		} else if err == nil {
			made.Data["changed"] = "yes"
			_, _ = api.Update(ctx, made, metav1.UpdateOptions{})
		}
		if n == 120 {
			close(started)
		}
	}
}

func TestBackupWhileRunning(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	server := h.startServer()
	h.kubectl("create", "secret", "generic", "kept", "--from-literal=key=value")
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	started := make(chan struct{})
	writers.Go(func() { churn(ctx, h.client(), started) })
	<-started
	file := filepath.Join(t.TempDir(), "backup.tar")
	saved := runViaduct(t, "", "backup", file, "--data-dir", h.dir)
	stop()
	writers.Wait()
	if saved.code != 0 {
		t.Fatalf("backup exits %d: %s", saved.code, saved.all())
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v, %v; want mode 0600", info, err)
	}

	elsewhere := &host{t: t, dir: filepath.Join(t.TempDir(), "data"), addresses: h.addresses}
	restored := runViaduct(t, "", "restore", file, "--data-dir", elsewhere.dir)
	_, said, found := strings.Cut(restored.stdout, "as of revision ")
	revision, _, _ := strings.Cut(said, "\n")
	if restored.code != 0 || !found {
		t.Fatalf("restore exits %d: %s", restored.code, restored.all())
	}
	want := configMaps(t, h.client(), revision)
	newest, err := h.client().CoreV1().ConfigMaps(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	second := elsewhere.startServer()
	if got := configMaps(t, elsewhere.client(), ""); !reflect.DeepEqual(got, want) || len(got) == 0 {
		t.Errorf("restored %d ConfigMaps %v\nwant %d, those at revision %s: %v", len(got), got, len(want), revision, want)
	}
	if text := elsewhere.kubectl("get", "secret", "kept", "-o", "jsonpath={.data.key}"); text != "dmFsdWU=" {
		t.Errorf("the secret says %q", text)
	}
	wantNoHistory(t, elsewhere.client(), newest.ResourceVersion)
	h.stop(server)
	elsewhere.stop(second)
}

// wantNoHistory requires that a client which has seen a later revision than the restored one is told to list anew, and
// by the list gets ahead of what it has seen.
func wantNoHistory(t testing.TB, client kubernetes.Interface, seen string) {
	t.Helper()
	api := client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	events, err := api.Watch(t.Context(), metav1.ListOptions{ResourceVersion: seen})
	if err == nil {
		event := <-events.ResultChan()
		events.Stop()
		err = apierrors.FromObject(event.Object)
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("a watch from revision %s, which the restored store never had: %v", seen, err)
	}
	list, err := api.List(t.Context(), metav1.ListOptions{})
	if err != nil || revisionOf(t, list.ResourceVersion) <= revisionOf(t, seen) {
		t.Errorf("a list is at revision %s, %v; clients have seen %s", list.ResourceVersion, err, seen)
	}
}

func revisionOf(t testing.TB, resourceVersion string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(resourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestBackupOfStoppedServer(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	server := h.startServer()
	h.kubectl("create", "configmap", "kept", "--from-literal=key=value")
	before, err := os.ReadFile(filepath.Join(h.dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	server.signal(syscall.SIGKILL) // what is in the log only must be saved too
	server.wait()
	file := filepath.Join(t.TempDir(), "backup.tar")
	if r := runViaduct(t, "", "backup", file, "--data-dir", h.dir); r.code != 0 {
		t.Fatalf("backup exits %d: %s", r.code, r.all())
	}

	second := h.startServer()
	refused := runViaduct(t, "", "restore", file, "--data-dir", h.dir)
	if refused.code != 1 || !strings.Contains(refused.stderr, "is held by process") {
		t.Errorf("restoring under a running server exits %d: %s", refused.code, refused.all())
	}
	h.kubectl("delete", "configmap", "kept")
	h.stop(second)
	refused = runViaduct(t, "", "restore", file, "--data-dir", h.dir)
	if refused.code != 1 || !strings.Contains(refused.stderr, "is not empty") || !strings.Contains(refused.stderr,
		"--force") {
		t.Errorf("restoring over another store exits %d: %s", refused.code, refused.all())
	}
	forced := runViaduct(t, "", "restore", file, "--data-dir", h.dir, "--force")
	if forced.code != 0 || strings.Count(forced.stdout, "moved aside ") != 2 {
		t.Fatalf("restoring with --force exits %d: %s", forced.code, forced.all())
	}
	third := h.startServer()
	if text := h.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.key}"); text != "value" {
		t.Errorf("the restored ConfigMap says %q", text)
	}
	h.wantAdmitted(before)
	h.stop(third)
}

// wantAdmitted requires that a kubeconfig of an earlier server logs in to this one, but for the port.
func (h *host) wantAdmitted(kubeconfig []byte) {
	h.t.Helper()
	now, err := os.ReadFile(filepath.Join(h.dir, "kubeconfig"))
	if err != nil {
		h.t.Fatal(err)
	}
	old := strings.ReplaceAll(string(kubeconfig), serverLine(kubeconfig), serverLine(now))
	path := filepath.Join(h.t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if r := runViaduct(h.t, "", "kubectl", "--kubeconfig", path, "get", "namespaces"); r.code != 0 {
		h.t.Errorf("a kubeconfig from before is refused: %s", r.all())
	}
}

func serverLine(kubeconfig []byte) string {
	for line := range strings.Lines(string(kubeconfig)) {
		if strings.Contains(line, "server: ") {
			return line
		}
	}
	return ""
}

func TestBackupRefusals(t *testing.T) {
	t.Parallel()
	empty, file := t.TempDir(), filepath.Join(t.TempDir(), "backup.tar")
	damaged := filepath.Join(t.TempDir(), "damaged.tar")
	if err := os.WriteFile(damaged, []byte("this is no backup"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"backup", file, "--data-dir", empty}, 1, "it has no store"},
		{[]string{"backup", file, "--data-dir", "/no/such/directory"}, 1, "no such file"},
		{[]string{"backup", "--data-dir", empty}, 2, "exactly one FILE"},
		{[]string{"restore", file, "--data-dir", filepath.Join(empty, "data")}, 1, "no such file"},
		{[]string{"restore", damaged, "--data-dir", filepath.Join(empty, "data")}, 1, "not a complete backup"},
		{[]string{"restore", file, damaged}, 2, "exactly one FILE"},
	} {
		r := runViaduct(t, "", tt.args...)
		if r.code != tt.code || !strings.Contains(r.stderr, tt.says) {
			t.Errorf("viaduct %v exits %d and says %q, want %d and %q", tt.args, r.code, r.stderr, tt.code, tt.says)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a backup that failed left a file")
	}
}
