package test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// metricNames finds what in an expression can only be the name of a metric of ours.
var metricNames = regexp.MustCompile(`\b(viaduct|kubeproxy|endpoint_slice)_[a-z_]+`)

// Every metric that the dashboard shows is there: renamed ones would leave a panel empty, in silence.
func TestDashboard(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../examples/grafana/viaduct.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title  string
		Panels []struct {
			Title   string
			GridPos struct{ H, W, X, Y int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &dashboard); err != nil || dashboard.Title != "Viaduct" || len(dashboard.Panels) == 0 {
		t.Fatalf("the dashboard %q: %v", dashboard.Title, err)
	}
	h := newHost(t)
	port := h.addresses.Service(250).String() + ":10249"
	run := h.start("--proxy", "userspace", "--runtime", "none", "--metrics-bind-address", port)
	defer h.stop(run)
	r := startReplicas(h, "127.0.0.91", "127.0.0.92")
	h.apply(r.manifest("viaduct.dev/health-check: tcp"))
	h.apply("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}")
	h.awaitState("127.0.0.92", true)
	h.awaitEndpoints("web", 0)
	client := &http.Client{}
	eventually(t, "somebody answers", func() error {
		_, err := client.Get(h.url("db"))
		return err
	})
	eventually(t, "a slice is counted", func() error {
		if !strings.Contains(h.kubectl("get", "--raw", "/metrics/controllers"), "endpoint_slice_controller_changes{") {
			return errors.New("none is")
		}
		return nil
	})
	metrics := h.kubectl("get", "--raw", "/metrics/controllers") + getText(t, "http://"+port+"/metrics")
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 || p.GridPos.W == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, name := range metricNames.FindAllString(target.Expr, -1) {
				if base := strings.TrimSuffix(name, "_bucket"); !strings.Contains(metrics, "# TYPE "+base+" ") {
					t.Errorf("panel %q shows %s, which is not there", p.Title, name)
				}
			}
		}
	}
}

func getText(t testing.TB, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", url, response.Status, err, data)
	}
	return string(data)
}
