package credentials

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"viaduct/internal/apiserver/tokens"
)

func TestTable(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	made := func(id, user string, age time.Duration, expires time.Time, groups ...string) corev1.Secret {
		_, secret := tokens.New(user, groups, expires)
		secret.Name = tokens.SecretName(id)
		secret.CreationTimestamp = metav1.NewTime(now.Add(-age))
		return *secret
	}
	broken := made("dddddddddd", "dan", time.Second, time.Time{})
	delete(broken.Data, "sha256")
	got := table([]corev1.Secret{
		made("bbbbbbbbbb", "bob", time.Minute, time.Time{}),
		made("aaaaaaaaaa", "alice", 2*time.Hour, now.Add(22*time.Hour), "dev", "ops"),
		made("cccccccccc", "cleo", 30*time.Second, now),
		broken,
	}, now)
	want := `ID           USER    GROUPS    AGE    EXPIRES
aaaaaaaaaa   alice   dev,ops   120m   in 22h
bbbbbbbbbb   bob     <none>    60s    never
cccccccccc   cleo    <none>    30s    expired
dddddddddd   dan     <none>    1s     invalid: data[sha256]: Invalid value: "": must be the SHA-256 of the token in hexadecimal
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := table(nil, now); got != "There are no tokens.\n" {
		t.Errorf("without tokens: %q", got)
	}
}

func TestBindingName(t *testing.T) {
	for _, c := range []struct{ role, user, want string }{
		{"view", "alice", "viaduct:view:alice"},
		{"view", "alice@example.org", "viaduct:view:alice@example.org"},
		{"view", "a/b", "viaduct:view:c14cddc033f64b9d"},
	} {
		if got := bindingName(c.role, c.user); got != c.want {
			t.Errorf("%s for %s: %s, want %s", c.role, c.user, got, c.want)
		}
	}
	if long := bindingName("view", strings.Repeat("x", 300)); len(long) > 253 {
		t.Errorf("%d letters", len(long))
	}
}

func TestKubeconfig(t *testing.T) {
	config := &rest.Config{Host: "https://127.0.0.1:7443",
		TLSClientConfig: rest.TLSClientConfig{CAData: []byte("the authority")}}
	const server = "https://10.0.0.7:7443"
	path := filepath.Join(t.TempDir(), "alice")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := Kubeconfig(config, server, Token{User: "alice", Text: "the token"}, "here")
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, text); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	read, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil || read.Host != server || read.BearerToken != "the token" || string(read.CAData) != "the authority" ||
		read.CertData != nil {
		t.Errorf("read as %+v, %v", read, err)
	}
}
