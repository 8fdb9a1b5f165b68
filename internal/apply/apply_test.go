package apply

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"viaduct/internal/apiserver/apitest"
)

// newApplier returns an Applier for a server of its own.
func newApplier(t *testing.T) (*Applier, *bytes.Buffer) {
	t.Helper()
	dataDir := t.TempDir()
	apitest.StartIn(t, dataDir, netip.MustParsePrefix("127.61.0.0/20"))
	var out bytes.Buffer
	return New(dataDir, &out), &out
}

func TestApplyPrintsTheOutcome(t *testing.T) {
	a, out := newApplier(t)
	dir := t.TempDir()
	write := func(port string) {
		text := "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: " + port + "}]}\n---\n" +
			"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: kube-public}\ndata: {a: b}\n"
		if err := os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct{ port, want string }{
		{"8080", "service/web created\nconfigmap/settings created\n"},
		{"8080", "service/web unchanged\nconfigmap/settings unchanged\n"},
		{"8081", "service/web configured\nconfigmap/settings unchanged\n"},
	} {
		write(step.port)
		out.Reset()
		if err := a.Files(t.Context(), []string{dir}); err != nil {
			t.Fatal(err)
		}
		if out.String() != step.want {
			t.Errorf("port %s: got %q, want %q", step.port, out, step.want)
		}
	}
}

func TestApplyContinuesAfterErrors(t *testing.T) {
	a, out := newApplier(t)
	service := func(name, spec string) Manifest {
		return Manifest{name + ".yaml", strings.NewReader("apiVersion: v1\nkind: Service\nmetadata: {name: " + name +
			"}\nspec: " + spec)}
	}
	err := a.Manifests(t.Context(),
		service("typo", "{prots: [{port: 8080}]}"),
		service("range", "{ports: [{port: 99999}]}"),
		Manifest{"cut.yaml", strings.NewReader("kind: [")},
		service("valid", "{ports: [{port: 8080}]}"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"typo.yaml", "prots", "range.yaml", "spec.ports[0].port", "cut.yaml"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if out.String() != "service/valid created\n" {
		t.Errorf("got %q, want that the valid Service was applied", out)
	}
}

func TestCheckFiles(t *testing.T) {
	here := t.TempDir()
	for _, c := range []struct {
		files []string
		why   string
	}{
		{nil, ""},
		{[]string{here, "-"}, ""},
		{[]string{"https://example.com/a.yaml"}, ""},
		{[]string{"-", "-"}, "one stdin"},
		{[]string{here + "/missing.yaml"}, "missing.yaml: no such file"},
	} {
		err := CheckFiles(c.files)
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q: %v, want %q", c.files, err, c.why)
		}
	}
}

func TestErrorsAreSplit(t *testing.T) {
	err := utilerrors.NewAggregate([]error{errors.New("one"),
		utilerrors.NewAggregate([]error{errors.New("no kind\nensure CRDs are installed first")})})
	if got := Errors(err); !slices.Equal(got, []string{"one", "no kind"}) {
		t.Errorf("got %q", got)
	}
}
