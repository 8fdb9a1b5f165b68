package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"viaduct/internal/addressrange"
	"viaduct/internal/apiserver"
	"viaduct/internal/apiserver/allocation"
	"viaduct/internal/apiserver/store"
	"viaduct/internal/datadir"
	"viaduct/internal/networkmode"
	"viaduct/internal/supervisor"
)

// serverOptions are the flags of the API server.
type serverOptions struct {
	dataDir      string
	pkiDir       string // empty: in dataDir
	listen       string
	advertise    netip.Addr // the zero value: where it listens
	etcd         store.Cluster
	serviceCIDRs []netip.Prefix // one, or one of each family, the primary first
	nodePorts    allocation.PortRange
	externalIPs  bool // anybody who may write a Service may set them
	// forPods are addresses of this host that only its Pods reach; they find the API there, too.
	forPods []netip.Addr
}

func (o *serverOptions) register(flags *pflag.FlagSet) {
	registerDataDir(flags, &o.dataDir)
	o.listen = "127.0.0.1:7443"
	flags.Var(hostPort{&o.listen}, "listen", "address of the Kubernetes API; port 0 picks a free one")
	flags.Var(ipAddress{&o.advertise}, "advertise-address", "IP address by which other hosts reach this server "+
		"(default: where it listens)")
	registerPKIDir(flags, &o.pkiDir)
	flags.StringSliceVar(&o.etcd.Servers, "etcd-servers", nil, "URLs of an etcd cluster to keep everything in, which "+
		"several servers may share (default: a store of its own in --data-dir)")
	flags.StringVar(&o.etcd.CAFile, "etcd-cafile", "", "certificate authority of the etcd servers")
	flags.StringVar(&o.etcd.CertFile, "etcd-certfile", "", "certificate to log in to etcd with")
	flags.StringVar(&o.etcd.KeyFile, "etcd-keyfile", "", "key of --etcd-certfile")
	flags.Var(cidrs{&o.serviceCIDRs}, "service-cidr", "range that Services' addresses are taken from, or one of each "+
		"family, the primary first; inside 127.0.0.0/8 they are served without privilege, "+
		"outside by the kernel")
	o.nodePorts = allocation.DefaultNodePorts()
	flags.Var(portRange{&o.nodePorts}, "service-node-port-range", "ports that Services of type NodePort and "+
		"LoadBalancer get theirs from")
	flags.BoolVar(&o.externalIPs, "allow-external-ips", false, "let everybody who may write a Service, not only "+
		"administrators, set its externalIPs; "+
		"whoever does can take the traffic of any Pod to those addresses (CVE-2020-8554)")
}

func newServer(con console, logs *logOptions) *cobra.Command {
	o := serverOptions{serviceCIDRs: networkmode.Host().Services}
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the Kubernetes API",
		Long: `Runs the Kubernetes API. It keeps everything in a store of its own in --data-dir, or in the etcd cluster that --etcd-servers names.

Several servers may run over one etcd cluster, and any of them may die. Each has a --data-dir of its own, and all must have the same
certificate authority, or the clients of one would not be let in by another: give all servers of one host the same --pki-dir, and copy
that directory to the other hosts before their first start.`,
		Example: `  viaduct server
  viaduct server --etcd-servers https://10.0.0.1:2379,https://10.0.0.2:2379,https://10.0.0.3:2379 \
    --etcd-cafile ca.crt --etcd-certfile client.crt --etcd-keyfile client.key --pki-dir /etc/viaduct/pki --listen 10.0.0.7:7443`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(addressrange.CheckEach(addressrange.Services(o.serviceCIDRs, addressrange.Elsewhere)),
				o.etcd.Check()); err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			ctx, stop := onSignal(cmd.Context(), con.Err)
			defer stop()
			return runServer(ctx, con, o, logs.start(con.Err))
		},
	}
	o.register(cmd.Flags())
	return cmd
}

func runServer(ctx context.Context, con console, o serverOptions, log *slog.Logger) error {
	unlock, err := o.lock(datadir.ServerLock)
	if err != nil {
		return err
	}
	defer unlock()
	server, err := o.open(ctx, "", log)
	if err != nil {
		return err
	}
	return supervisor.Run(ctx, func() { announce(con, o.dataDir, server.URL()) }, serverPart(server), tuneGC(log))
}

// lock makes the data directory and takes its locks.
func (o *serverOptions) lock(locks ...string) (unlock func(), err error) {
	if o.dataDir, err = datadir.Create(o.dataDir); err != nil {
		return nil, err
	}
	if unlock, err = datadir.Lock(o.dataDir, locks...); err != nil {
		return nil, err
	}
	return unlock, nil
}

// open makes a server that does not serve yet. nodeName is the node whose agent runs in this process, or empty. The
// server outlives ctx: the parts that stop before it still need it.
func (o *serverOptions) open(ctx context.Context, nodeName string, log *slog.Logger) (*apiserver.Server, error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, cancel)() // until it is made: an etcd that does not answer may be waited for long
	server, err := apiserver.New(own, apiserver.Options{
		DataDir:      o.dataDir,
		PKIDir:       o.pkiDir,
		Etcd:         o.etcd,
		Advertise:    o.advertise,
		Listen:       o.listen,
		ServiceCIDRs: o.serviceCIDRs,
		NodePorts:    o.nodePorts,

		AllowExternalIPs: o.externalIPs,
		AlsoListen:       o.forPods,

		NodeName: nodeName,
		Log:      log.With("part", "server"),
	})
	if err != nil {
		return nil, fmt.Errorf("starting the API server: %w", err)
	}
	return server, nil
}

func serverPart(server *apiserver.Server) supervisor.Component {
	return supervisor.Component{Name: "API server", Run: server.Run, Ready: server.Ready()}
}

// announce tells where everything is, once the API answers.
func announce(con console, dataDir, url string) {
	fmt.Fprintf(con.Out, "api         %s\n", url)
	fmt.Fprintf(con.Out, "kubeconfig  %s\n", datadir.Kubeconfig(dataDir))
	fmt.Fprintf(con.Out, "ready in %d ms\n", sinceStart(con).Milliseconds())
}
