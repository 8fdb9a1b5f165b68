package drift

import (
	"os/exec"
	"strings"
	"testing"

	"viaduct/internal/apiserver/apitest"
)

// What a person has read. docs/following-kubernetes.md says when to change these.
const (
	// librariesRead is the minor release of the libraries in go.mod with which the records in testdata were compared.
	librariesRead = "v0.37"
	// rulesRead is the release of Kubernetes whose hand-read files Viaduct follows; the server announces it.
	rulesRead = "v1.36"
)

// minorOf returns the first two numbers of a version.
func minorOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// TestRelease fails for every new minor release of the libraries, since most of upstream's rules are in files that no
// library exports.
func TestRelease(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/api").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := minorOf(strings.TrimSpace(string(out))); got != librariesRead {
		t.Errorf("go.mod has the Kubernetes libraries %s, and %s were read: follow docs/following-kubernetes.md", got,
			librariesRead)
	}
	version, err := apitest.Start(t).Client(t).Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if got := minorOf(version.GitVersion); got != rulesRead {
		t.Errorf("the server announces %s, and the rules of %s were read: follow docs/following-kubernetes.md", got,
			rulesRead)
	}
}
