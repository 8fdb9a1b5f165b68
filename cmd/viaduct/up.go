package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"viaduct/internal/addressrange"
	"viaduct/internal/apiserver"
	"viaduct/internal/apply"
	"viaduct/internal/controllermanager"
	"viaduct/internal/datadir"
	"viaduct/internal/debugserver"
	"viaduct/internal/narrate"
	"viaduct/internal/networkmode"
	"viaduct/internal/node/network"
	"viaduct/internal/proxy/datapath"
	"viaduct/internal/supervisor"
)

// upOptions are the flags of all components.
type upOptions struct {
	server    serverOptions
	proxy     proxyOptions
	agent     agentOptions
	checkRate uint16
	files     []string
}

func newUp(con console, logs *logOptions) *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run everything: API server, controllers, proxy and node agent",
		Long: `Runs the API server, the controllers, the service proxy and a node agent for this host in one
process, and prints a line for each change. SIGINT and SIGTERM stop it: it stops the Pods first, and
continues with the same objects at the next start.`,
		Example: `  viaduct up
  viaduct up -f examples/quickstart
  viaduct kubectl get services,endpoints,pods -o wide`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			ctx, stop := onSignal(cmd.Context(), con.Err)
			defer stop()
			return up(ctx, con, o, logs.start(con.Err), nil)
		},
	}
	o.server.register(cmd.Flags())
	o.proxy.register(cmd.Flags())
	o.agent.register(cmd.Flags())
	registerCheckRate(cmd.Flags(), &o.checkRate)
	cmd.Flags().StringArrayVarP(&o.files, "filename", "f", nil,
		"manifest to apply after the start: a file, a directory, a "+
			"URL, or - for stdin; may be repeated")
	return cmd
}

func (o *upOptions) check() error {
	if err := o.checkRanges(o.ranges()); err != nil {
		return err
	}
	if err := o.server.etcd.Check(); err != nil {
		return err
	}
	return apply.CheckFiles(o.files)
}

func (o *upOptions) checkRanges(r networkmode.Ranges) error {
	services, pods := addressrange.Here, addressrange.Here
	switch o.proxy.mode {
	case proxyNone:
		services = addressrange.Elsewhere
	case datapath.Userspace:
		services = addressrange.LoopbackOnly
	}
	if o.agent.runtime == runtimeNone {
		pods = addressrange.Elsewhere
	}
	return addressrange.Check(addressrange.Services(r.Services, services), addressrange.Pods(r.Pods, pods))
}

// ranges are the address ranges of the flags.
func (o *upOptions) ranges() networkmode.Ranges {
	return networkmode.Ranges{Services: o.server.serviceCIDRs, Pods: o.agent.podCIDRs}
}

// openNetwork chooses the address ranges, and opens the network of the Pods if they have their own.
func (o *upOptions) openNetwork(log *slog.Logger) (*network.Network, error) {
	ranges, pods, err := networkmode.Choose(networkmode.Options{
		DataDir:  o.server.dataDir,
		StoreDir: apiserver.StoreDir(o.server.dataDir),
		Given:    o.ranges(),
		Allowed:  (o.proxy.mode == datapath.Auto || o.proxy.mode == datapath.NFT) && o.agent.runtime == runtimeProcess,
		Check:    o.checkRanges,
		Open: func(r networkmode.Ranges) (*network.Network, error) {
			agent := o.agent
			agent.podCIDRs = r.Pods
			return agent.openNetwork(r.Services, log)
		},
		Log: log,
	})
	o.server.serviceCIDRs, o.agent.podCIDRs = ranges.Services, ranges.Pods
	return pods, err
}

// up runs all parts until ctx ends or one fails. If ready is not nil, it is called once, when all parts run, with an
// administrator's client and the server's URL.
func up(ctx context.Context, con console, o upOptions, log *slog.Logger,
	ready func(kubernetes.Interface, string)) error {
	unlock, err := o.server.lock(datadir.ServerLock, datadir.AgentLock)
	if err != nil {
		return err
	}
	defer unlock()
	if o.agent.nodeName, err = orHostName(o.agent.nodeName); err != nil {
		return err
	}
	o.proxy.nodeName = o.agent.nodeName
	pods, err := o.openNetwork(log)
	if err != nil {
		return err
	}
	server, parts, err := o.build(ctx, con, pods, log)
	if err != nil {
		if pods != nil {
			err = errors.Join(err, pods.Close())
		}
		return err
	}
	admin, err := clientAs(server, apiserver.UserAdmin, "viaduct-demo")
	if err != nil {
		return err
	}
	return supervisor.Run(ctx, func() {
		if ready != nil {
			ready(admin, server.URL())
		}
	}, parts...)
}

// build makes the server and the other parts.
func (o *upOptions) build(ctx context.Context, con console, pods *network.Network, log *slog.Logger) (*apiserver.Server,
	[]supervisor.Component, error) {
	if pods != nil {
		o.proxy.pods = o.agent.podCIDRs
		o.server.forPods = pods.Gateways()
	}
	server, err := o.server.open(ctx, o.agent.nodeName, log)
	if err != nil {
		return nil, nil, err
	}
	parts, err := o.parts(con, server, pods, log)
	if err != nil {
		server.Close()
		return nil, nil, err
	}
	return server, parts, nil
}

// parts makes the components in the order in which they start. The narrator starts before the agent, so it ends after
// the agent and prints how the Pods end.
func (o *upOptions) parts(con console, server *apiserver.Server, pods *network.Network,
	log *slog.Logger) ([]supervisor.Component, error) {
	admin, err := clientAs(server, apiserver.UserAdmin, "viaduct-narrator")
	if err != nil {
		return nil, err
	}
	controllers, err := o.controllers(server, log)
	if err != nil {
		return nil, err
	}
	proxies, err := clientAs(server, apiserver.UserProxy, "viaduct-proxy")
	if err != nil {
		return nil, err
	}
	nodes, err := clientAs(server, apiserver.UserNodePrefix+o.agent.nodeName, "viaduct-agent")
	if err != nil {
		return nil, err
	}
	agent, metrics, err := agentPart(nodes, o.server.dataDir, o.agent, pods, log)
	if err != nil {
		return nil, err
	}
	server.Handle(agentMetricsPath, debugserver.Metrics(metrics))
	narrator := narrate.New(admin, con.Out)
	parts := []supervisor.Component{serverPart(server), announcePart(con, o.server.dataDir, server.URL()),
		{Name: "narrator", Run: narrator.Run}}
	parts = append(parts, managerPart(controllers))
	parts = append(parts, proxyParts(proxies, o.proxy, log)...)
	parts = append(parts, agent, tuneGC(log))
	if len(o.files) > 0 {
		parts = append(parts, applyPart(con, o.server.dataDir, o.files, narrator.Ready()))
	}
	return parts, nil
}

// The paths where the API server of `viaduct up` serves the metrics of components that have no port of their own.
const (
	controllersMetricsPath = "/metrics/controllers"
	agentMetricsPath       = "/metrics/agent"
)

// controllers makes the controllers of this process. The API server serves their debug endpoints. They work without
// leader election, unless other servers share the store.
func (o *upOptions) controllers(server *apiserver.Server, log *slog.Logger) (*controllermanager.Manager, error) {
	client, err := clientAs(server, apiserver.UserController, "viaduct-controller")
	if err != nil {
		return nil, err
	}
	election := controllermanager.DefaultElection()
	election.Enabled = len(o.server.etcd.Servers) > 0
	manager, err := controllermanager.New(client, controllermanager.Options{Controllers: controllermanager.Names(),
		Election: election, HistoryFile: datadir.HistoryFile(o.server.dataDir), CheckRate: int(o.checkRate), Log: log})
	if err != nil {
		return nil, err
	}
	server.Handle(controllermanager.ExplainPath, manager.ExplainHandler())
	server.Handle(controllermanager.HistoryPath, manager.HistoryHandler())
	server.Handle(controllersMetricsPath, manager.MetricsHandler())
	return manager, nil
}

func clientAs(server *apiserver.Server, user, userAgent string) (kubernetes.Interface, error) {
	return newClient(rest.AddUserAgent(server.ClientConfig(user), userAgent))
}

// announcePart prints the URL and the kubeconfig as soon as the API answers. The other components start after it.
func announcePart(con console, dataDir, url string) supervisor.Component {
	announced := make(chan struct{})
	return supervisor.Component{Name: "announcement", Ready: announced, Run: func(ctx context.Context) error {
		announce(con, dataDir, url)
		close(announced)
		<-ctx.Done()
		return nil
	}}
}

// applyPart applies files once, after ready is closed. It prints the errors of manifests that are refused, and
// everything else keeps running.
func applyPart(con console, dataDir string, files []string, ready <-chan struct{}) supervisor.Component {
	return supervisor.Component{Name: "manifests", Run: func(ctx context.Context) error {
		select {
		case <-ready:
			if err := apply.New(dataDir, con.Out).Files(ctx, files); err != nil && ctx.Err() == nil {
				for _, text := range apply.Errors(err) {
					fmt.Fprintf(con.Err, "viaduct: applying: %s\n", text)
				}
			}
		case <-ctx.Done():
		}
		<-ctx.Done()
		return nil
	}}
}
