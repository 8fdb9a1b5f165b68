package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"viaduct/internal/supervisor"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/cert"
)

// explainPath is where the controllers say who is behind a Service, and why.
const explainPath = "/debug/endpoints/"

// Where the API server of 'viaduct up' gives the metrics of the parts beside it that have no port of their own.
const (
	controllersMetricsPath = "/metrics/controllers"
	agentMetricsPath       = "/metrics/agent"
)

// debugPort is the port of kube-controller-manager and ten, so that both may run on one host.
const debugPort = 10267

// debugOptions say where `viaduct controller` can be asked. The flags are kube-controller-manager's.
type debugOptions struct {
	address net.IP
	port    uint16
}

func (o *debugOptions) register(flags *pflag.FlagSet) {
	flags.IPVar(&o.address, "bind-address", net.IPv4(127, 0, 0, 1), "address of the port that answers questions: "+
		"/metrics, /healthz, /readyz, "+explainPath+"NAMESPACE/SERVICE and "+historyPath+"NAMESPACE/SERVICE")
	flags.Uint16Var(&o.port, "secure-port", debugPort, "that port; HTTPS, and but for the health checks only for who "+
		"may get the path by the API server's roles; 0: none")
}

// listen takes the port; nil: there is to be none.
func (o *debugOptions) listen() (net.Listener, error) {
	if o.port == 0 {
		return nil, nil
	}
	address := net.JoinHostPort(o.address.String(), strconv.Itoa(int(o.port)))
	own, err := ownCertificate(o.address)
	if err != nil {
		return nil, err
	}
	listener, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{own},
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		return nil, fmt.Errorf("opening the port for questions (another --secure-port, or 0 for none, helps if it is "+
			"taken): %w", err)
	}
	return listener, nil
}

// ownCertificate is a new one at each start: whoever asks is a person or a scraper of this host, to whom no authority
// vouches for it.
func ownCertificate(address net.IP) (tls.Certificate, error) {
	certificate, key, err := cert.GenerateSelfSignedCertKey(address.String(), []net.IP{address}, []string{"localhost"})
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a certificate: %w", err)
	}
	return pair, nil
}

// debugPart answers on listener until it is stopped.
func debugPart(listener net.Listener, c *controllers, client kubernetes.Interface, log *slog.Logger) supervisor.Component {
	return supervisor.Component{Name: "port for questions", Run: func(ctx context.Context) error {
		server := &http.Server{
			Handler: debugHandler(c, client), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
			WriteTimeout: time.Minute,
			ErrorLog:     slog.NewLogLogger(log.With("part", "debug").Handler(), slog.LevelDebug),
		}
		defer context.AfterFunc(ctx, func() { server.Close() })()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("answering questions: %w", err)
		}
		return nil
	}}
}

// debugHandler answers everybody whether the process lives, and the rest to those who may ask.
func debugHandler(c *controllers, client kubernetes.Interface) http.Handler {
	inner := http.NewServeMux()
	inner.Handle("GET /metrics", c.metricsHandler())
	inner.Handle(explainPath, c.explainHandler())
	inner.Handle(historyPath, c.historyHandler())
	outer := http.NewServeMux()
	outer.Handle("/", gate{client, inner})
	alive := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
	outer.HandleFunc("GET /healthz", alive)
	outer.HandleFunc("GET /livez", alive)
	outer.HandleFunc("GET /readyz", c.readyz)
	return outer
}

// metricsHandler answers with the metrics of the controllers.
func (c *controllers) metricsHandler() http.Handler {
	return metricsOf(c.collectors())
}

// collectors are the metrics of the controllers.
func (c *controllers) collectors() []prometheus.Collector {
	leading := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "leader_election_master_status", Help: "Whether the controllers of this process work: 1, or 0 while " +
			"another's do",
		ConstLabels: prometheus.Labels{"name": "viaduct-controller"},
	}, func() float64 {
		if c.leading() {
			return 1
		}
		return 0
	})
	all := []prometheus.Collector{leading}
	if c.endpoints != nil {
		all = append(all, c.endpoints.Collectors()...)
	}
	if c.scheduler != nil {
		all = append(all, c.scheduler.Collectors()...)
	}
	return all
}

func (c *controllers) leading() bool {
	if c.candidate == nil {
		return true
	}
	_, self := c.candidate.Holder()
	return self
}

// readyz says whether the caches are there, so that this process can work or take over at once, and who works.
func (c *controllers) readyz(w http.ResponseWriter, _ *http.Request) {
	if c.endpoints != nil && !c.endpoints.Synced() {
		http.Error(w, "the caches are not there yet", http.StatusServiceUnavailable)
		return
	}
	if c.candidate != nil {
		if holder, self := c.candidate.Holder(); !self {
			fmt.Fprintf(w, "ok\nstandby: %s leads\n", orNobody(holder))
			return
		}
	}
	fmt.Fprint(w, "ok\nleading\n")
}

func orNobody(holder string) string {
	if holder == "" {
		return "nobody"
	}
	return holder
}

// explainHandler answers under explainPath.
func (c *controllers) explainHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+explainPath+"{namespace}/{service}", c.explain)
	return mux
}

// explain answers with JSON, or with a table for a person: ?output=table.
func (c *controllers) explain(w http.ResponseWriter, r *http.Request) {
	if c.endpoints == nil {
		http.Error(w, "no endpoints controller runs here", http.StatusNotFound)
		return
	}
	key := types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("service")}
	report, found := c.endpoints.Explain(key)
	switch output := r.URL.Query().Get("output"); {
	case !found:
		http.Error(w, fmt.Sprintf("services %q not found in namespace %q", key.Name, key.Namespace), http.StatusNotFound)
	case output == "table":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		report.Write(w, time.Now())
	case output == "" || output == "json":
		w.Header().Set("Content-Type", "application/json")
		if data, err := indented(report); err == nil {
			_, _ = w.Write(data) // the reader may have gone
		}
	default:
		http.Error(w, fmt.Sprintf("output: there is no %q; want json or table", output), http.StatusBadRequest)
	}
}
