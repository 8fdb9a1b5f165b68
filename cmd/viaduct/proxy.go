package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/debugserver"
	"viaduct/internal/proxy"
	"viaduct/internal/proxy/datapath"
	"viaduct/internal/supervisor"
)

// proxyNone turns the proxy off. The other values of --proxy are the modes of package datapath.
const proxyNone = "none"

type proxyOptions struct {
	mode      string
	nodeName  string
	pods      []netip.Prefix  // addresses of this node's Pods, besides those of the Node object
	nodePorts proxy.NodePorts // the addresses that node ports are served on
	health    string          // address of the health checks; empty: none
	metrics   string          // address of metrics and debug endpoints; empty: none
	keep      bool            // the kernel goes on carrying connections after this process ends
	takeOver  bool            // remove kube-proxy's rules
	dryRun    bool
}

// register registers the flags of `viaduct proxy` and `viaduct up`. The names and ports are kube-proxy's.
func (o *proxyOptions) register(flags *pflag.FlagSet) {
	o.mode, o.health, o.metrics = datapath.Auto, defaultHealthAddress, defaultMetricsAddress
	flags.Var(newChoice(&o.mode, datapath.Auto, datapath.NFT, datapath.Userspace, proxyNone), "proxy",
		"how connections reach Pods: nft redirects them in the kernel, userspace copies them and needs no privilege, none "+
			"runs no proxy, auto means nft if the host allows it and the Services' addresses are not in 127.0.0.0/8")
	flags.Var(nodePortAddresses{&o.nodePorts}, "nodeport-addresses",
		"addresses that node ports are served on: primary means the node's own address of each IP family, and CIDRs mean "+
			"every address of this host in one of them")
	flags.Var(optionalHostPort{&o.health}, "healthz-bind-address",
		"address for /healthz and /livez, which load balancers check; empty disables it")
	flags.Var(optionalHostPort{&o.metrics}, "metrics-bind-address",
		"address for /metrics, /healthz, /proxyMode, and /debug/services/NAMESPACE/NAME and /debug/trace, which 'viaduct "+
			"explain' and 'viaduct trace' read; empty disables it")
}

// registerAlone registers the flags of `viaduct proxy` alone.
func (o *proxyOptions) registerAlone(flags *pflag.FlagSet) {
	flags.Var(cidrs{&o.pods}, "cluster-cidr", "address range of Pods, or one of each IP family; connections from it keep "+
		"their source address (default: the Node's spec.podCIDRs)")
	registerNodeName(flags, &o.nodeName)
	flags.BoolVar(&o.takeOver, "take-over", false,
		"remove kube-proxy's nftables, iptables and IPVS rules, once the kernel carries every Service for Viaduct and no "+
			"kube-proxy runs on this host")
	flags.BoolVar(&o.dryRun, "dry-run", false, "print what would change on this host, and change nothing")
}

func newProxy(con console, logs *logOptions) *cobra.Command {
	var client clientOptions
	var o proxyOptions
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Make connections to Services reach their endpoints",
		Long: `Makes connections to Services reach their endpoints on this host, for any Kubernetes API server.
When it ends, the kernel goes on carrying connections to the last known endpoints; 'viaduct proxy
cleanup' removes what it made.`,
		Example: `  viaduct proxy --kubeconfig proxy.kubeconfig --node-name host-2
  viaduct proxy --kubeconfig proxy.kubeconfig --take-over --dry-run`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			return runProxy(cmd.Context(), con, client, o, logs)
		},
	}
	client.register(cmd)
	o.register(cmd.Flags())
	o.registerAlone(cmd.Flags())
	o.keep = true
	cmd.AddCommand(newProxyCleanup(con))
	return cmd
}

func (o *proxyOptions) check() error {
	switch {
	case o.mode == proxyNone:
		return errors.New("--proxy=none leaves nothing to do")
	case o.takeOver && o.mode == datapath.Userspace:
		return errors.New("--take-over needs --proxy=nft or auto: this process cannot replace kube-proxy's rules in the " +
			"kernel")
	}
	return nil
}

func runProxy(ctx context.Context, con console, client clientOptions, o proxyOptions, logs *logOptions) (err error) {
	if o.nodeName, err = orHostName(o.nodeName); err != nil {
		return err
	}
	api, err := client.client("viaduct-proxy")
	if err != nil {
		return err
	}
	ctx, stop := onSignal(ctx, con.Err)
	defer stop()
	log := logs.start(con.Err)
	if o.dryRun {
		return dryRun(ctx, con.Out, api, o, log)
	}
	return supervisor.Run(ctx, nil, append(proxyParts(api, o, log), tuneGC(log))...)
}

// newProxyOf makes the proxy and the backend that it drives.
func newProxyOf(client kubernetes.Interface, o proxyOptions, log *slog.Logger) (*proxy.Proxy, *datapath.Backend,
	*datapath.TakeOver) {
	backend := datapath.New(datapath.Options{Mode: o.mode, Pods: o.pods, Keep: o.keep, Log: log})
	takeOver := datapath.NewTakeOver(backend)
	return proxy.New(client, proxy.Options{NodeName: o.nodeName, Backend: backend, NodePorts: o.nodePorts,
		OnApplied: takeOver.Applied, Log: log}), backend, takeOver
}

// proxyParts makes the components of the proxy. It makes none for --proxy=none.
func proxyParts(client kubernetes.Interface, o proxyOptions, log *slog.Logger) []supervisor.Component {
	if o.mode == proxyNone {
		return nil
	}
	log = log.With("part", "proxy")
	p, backend, takeOver := newProxyOf(client, o, log)
	run := func(ctx context.Context) error { return errors.Join(p.Run(ctx), backend.Close()) }
	parts := []supervisor.Component{{Name: "proxy", Run: run}}
	if o.takeOver {
		parts = append(parts, supervisor.Component{Name: "take-over", Run: takeOver.Run})
	}
	if o.health != "" {
		parts = append(parts, portPart("proxy health", o.health, defaultHealthAddress, p.HealthHandler(), log))
	}
	if o.metrics != "" {
		parts = append(parts, portPart("proxy metrics", o.metrics, defaultMetricsAddress, proxyHandler(p, backend), log))
	}
	return parts
}

// proxyHandler serves the metrics and the debug endpoints of a proxy.
func proxyHandler(p *proxy.Proxy, backend *datapath.Backend) http.Handler {
	mux := debugserver.NewMux(append(p.Collectors(), backend.Collector()))
	mux.Handle("GET /debug/", p.QuestionHandler(backend.ActiveMode))
	mux.HandleFunc("GET /proxyMode", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, backend.ActiveMode()) })
	return mux
}

// dryRunTimeout bounds how long a dry run waits for the API server's Services.
const dryRunTimeout = time.Minute

func dryRun(ctx context.Context, out io.Writer, api kubernetes.Interface, o proxyOptions, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, dryRunTimeout)
	defer cancel()
	p, _, _ := newProxyOf(api, o, log)
	table, err := p.Preview(ctx)
	if err != nil {
		return fmt.Errorf("reading the Services: %w", err)
	}
	return needsRoot(datapath.DryRun(ctx, out, table, o.takeOver))
}
