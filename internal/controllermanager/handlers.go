package controllermanager

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/debugserver"
)

// The paths of the debug endpoints, each followed by NAMESPACE/SERVICE.
const (
	ExplainPath = "/debug/endpoints/" // the endpoints of a Service, and why
	HistoryPath = "/debug/history/"   // the changes of a Service's endpoints
)

// Handler answers the health checks without authentication, and all other paths with the access check of
// debugserver.RequireAccess.
func (m *Manager) Handler(client kubernetes.Interface) http.Handler {
	inner := http.NewServeMux()
	inner.Handle("GET /metrics", m.MetricsHandler())
	inner.Handle(ExplainPath, m.ExplainHandler())
	inner.Handle(HistoryPath, m.HistoryHandler())
	outer := http.NewServeMux()
	outer.Handle("/", debugserver.RequireAccess(client, inner))
	alive := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
	outer.HandleFunc("GET /healthz", alive)
	outer.HandleFunc("GET /livez", alive)
	outer.HandleFunc("GET /readyz", m.readyz)
	return outer
}

// MetricsHandler answers with the metrics of the controllers.
func (m *Manager) MetricsHandler() http.Handler { return debugserver.Metrics(m.collectors()) }

func (m *Manager) collectors() []prometheus.Collector {
	leading := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "leader_election_master_status", Help: "Whether the controllers of this process work: 1, or 0 while those of " +
			"another process do",
		ConstLabels: prometheus.Labels{"name": "viaduct-controller"},
	}, func() float64 {
		if m.leads() {
			return 1
		}
		return 0
	})
	all := []prometheus.Collector{leading}
	if m.endpoints != nil {
		all = append(all, m.endpoints.Collectors()...)
	}
	if m.scheduler != nil {
		all = append(all, m.scheduler.Collectors()...)
	}
	return all
}

// readyz answers 200 if the caches are in sync, so that this process works or can take over at once. The body says
// which process leads.
func (m *Manager) readyz(w http.ResponseWriter, _ *http.Request) {
	if m.endpoints != nil && !m.endpoints.Synced() {
		http.Error(w, "the caches are not in sync yet", http.StatusServiceUnavailable)
		return
	}
	if m.leads() {
		fmt.Fprint(w, "ok\nleading\n")
		return
	}
	holder, _ := m.candidate.Holder()
	if holder == "" {
		holder = "no process"
	}
	fmt.Fprintf(w, "ok\nstandby: %s leads\n", holder)
}

// ExplainHandler answers under ExplainPath with JSON, or with a table for ?output=table.
func (m *Manager) ExplainHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+ExplainPath+"{namespace}/{service}", m.explain)
	return mux
}

func (m *Manager) explain(w http.ResponseWriter, r *http.Request) {
	if m.endpoints == nil {
		noEndpointsController(w)
		return
	}
	service := serviceOf(r)
	report, found := m.endpoints.Explain(service)
	switch output := r.URL.Query().Get("output"); {
	case !found:
		http.Error(w, fmt.Sprintf("services %q not found in namespace %q", service.Name, service.Namespace),
			http.StatusNotFound)
	case output == "table":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		report.Write(w, time.Now())
	case output == "" || output == "json":
		writeJSON(w, report)
	default:
		http.Error(w, fmt.Sprintf("unknown output %q; want json or table", output), http.StatusBadRequest)
	}
}

// HistoryHandler answers under HistoryPath with a list of changes, as JSON.
func (m *Manager) HistoryHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+HistoryPath+"{namespace}/{service}", func(w http.ResponseWriter, r *http.Request) {
		if m.history == nil {
			noEndpointsController(w)
			return
		}
		changes, err := m.history.Of(serviceOf(r))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeJSON(w, changes)
	})
	return mux
}

func noEndpointsController(w http.ResponseWriter) {
	http.Error(w, "no endpoints controller runs in this process", http.StatusNotFound)
}

func serviceOf(r *http.Request) types.NamespacedName {
	return types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("service")}
}

func writeJSON(w http.ResponseWriter, v any) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text.Bytes()) // an error means that the client has disconnected
}
