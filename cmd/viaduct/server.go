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
	advertise    netip.Addr // zero: the address of listen
	etcd         store.Cluster
	serviceCIDRs []netip.Prefix // one, or one of each IP family with the primary first
	nodePorts    allocation.PortRange
	externalIPs  bool // users who may write Services may set externalIPs
	// forPods are addresses of this host that only its Pods can reach. The server listens there too.
	forPods []netip.Addr
}

func (o *serverOptions) register(flags *pflag.FlagSet) {
	registerDataDir(flags, &o.dataDir)
	o.listen = "127.0.0.1:7443"
	flags.Var(hostPort{&o.listen}, "listen", "address of the Kubernetes API; port 0 takes any free port")
	flags.Var(ipAddress{&o.advertise}, "advertise-address", "IP address at which other hosts reach this server "+
		"(default: the address of --listen)")
	registerPKIDir(flags, &o.pkiDir)
	flags.StringSliceVar(&o.etcd.Servers, "etcd-servers", nil, "URLs of an etcd cluster, which several servers may share "+
		"(default: an embedded store in --data-dir)")
	flags.StringVar(&o.etcd.CAFile, "etcd-cafile", "", "file with the certificate authority of the etcd servers")
	flags.StringVar(&o.etcd.CertFile, "etcd-certfile", "", "file with the client certificate for etcd")
	flags.StringVar(&o.etcd.KeyFile, "etcd-keyfile", "", "file with the key of --etcd-certfile")
	flags.Var(cidrs{&o.serviceCIDRs}, "service-cidr", "address range of Services, or one of each IP family with "+
		"the primary first; a range inside 127.0.0.0/8 needs no privilege, others need the kernel")
	o.nodePorts = allocation.DefaultNodePorts()
	flags.Var(portRange{&o.nodePorts}, "service-node-port-range", "range of node ports of Services of type "+
		"NodePort and LoadBalancer")
	flags.BoolVar(&o.externalIPs, "allow-external-ips", false, "allow every user who may write Services to set "+
		"externalIPs, not only administrators; such a user can intercept the traffic of any Pod to these addresses "+
		"(CVE-2020-8554)")
}

func newServer(con console, logs *logOptions) *cobra.Command {
	o := serverOptions{serviceCIDRs: networkmode.Host().Services}
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the Kubernetes API",
		Long: `Runs the Kubernetes API. The objects are in an embedded etcd in --data-dir, or in the etcd cluster
of --etcd-servers.

Several servers may share one etcd cluster, and any of them may fail. Each server needs its own
--data-dir. All of them need the same certificate authority, so that each accepts the clients of the
others. Give all servers of one host the same --pki-dir, and copy that directory to the other hosts
before their first start.`,
		Example: `  viaduct server
  viaduct server --etcd-servers https://10.0.0.1:2379,https://10.0.0.2:2379,https://10.0.0.3:2379 \
    --etcd-cafile ca.crt --etcd-certfile client.crt --etcd-keyfile client.key \
    --pki-dir /etc/viaduct/pki --listen 10.0.0.7:7443`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ranges := addressrange.Services(o.serviceCIDRs, addressrange.Elsewhere)
			if err := errors.Join(addressrange.CheckEach(ranges), o.etcd.Check()); err != nil {
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
// server outlives ctx, because the components that stop before it still need it.
func (o *serverOptions) open(ctx context.Context, nodeName string, log *slog.Logger) (*apiserver.Server, error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, cancel)() // ctx can interrupt waiting for an etcd that does not answer
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

// announce prints the URL and the kubeconfig once the API answers.
func announce(con console, dataDir, url string) {
	fmt.Fprintf(con.Out, "api         %s\n", url)
	fmt.Fprintf(con.Out, "kubeconfig  %s\n", datadir.Kubeconfig(dataDir))
	fmt.Fprintf(con.Out, "ready in %d ms\n", sinceStart(con).Milliseconds())
}
