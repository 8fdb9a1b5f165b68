package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"viaduct/internal/apiserver"
	"viaduct/internal/narrate"
	"viaduct/internal/node/network"
	"viaduct/internal/supervisor"
)

// upOptions are the flags of every part together.
type upOptions struct {
	server serverOptions
	proxy  proxyOptions
	agent  agentOptions
	own    endpointsOptions
	files  []string
}

func newUp(con console, logs *logOptions) *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run everything: API server, controllers, proxy and node agent",
		Long: `Runs the API server, the controllers, the service proxy and a node agent for this host in one process, and prints what
changes. It ends at SIGINT or SIGTERM, stops the Pods first, and finds everything as it was at the next start.`,
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
	o.own.register(cmd.Flags())
	cmd.Flags().StringArrayVarP(&o.files, "filename", "f", nil, "manifest to apply once ready: a file, a directory, or "+
		"- for stdin; may be repeated")
	return cmd
}

func (o *upOptions) check() error {
	if err := o.checkRanges(); err != nil {
		return err
	}
	if err := o.server.etcd.Check(); err != nil {
		return err
	}
	return checkFiles(o.files)
}

func (o *upOptions) checkRanges() error {
	services, pods := servedHere, servedHere
	switch o.proxy.mode {
	case proxyNone:
		services = servedElsewhere
	case proxyUserspace:
		services = servedLoopback
	}
	if o.agent.runtime == runtimeNone {
		pods = servedElsewhere
	}
	return checkRanges(serviceRanges(o.server.serviceCIDRs, services), podRanges(o.agent.podCIDRs, pods))
}

// up runs all parts until ctx ends or one fails. ready, if any, is called once all of them run.
func up(ctx context.Context, con console, o upOptions, log *slog.Logger, ready func(*apiserver.Server)) error {
	unlock, err := o.server.claim(serverLock, agentLock)
	if err != nil {
		return err
	}
	defer unlock()
	if o.agent.nodeName, err = orHostName(o.agent.nodeName); err != nil {
		return err
	}
	o.proxy.nodeName = o.agent.nodeName
	pods, err := o.settle(log)
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
	return supervisor.Run(ctx, func() {
		if ready != nil {
			ready(server)
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

// parts wires the parts that run alone too, in the order they start. What is narrated ends after the agent, so that one
// reads how the Pods end.
func (o *upOptions) parts(con console, server *apiserver.Server, pods *network.Network, log *slog.Logger) ([]supervisor.Component,
	error) {
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
	server.Handle(agentMetricsPath, metricsOf(metrics))
	narrator := narrate.New(admin, con.Out)
	parts := []supervisor.Component{serverPart(server), tellReady(con, o.server.dataDir, server.URL()),
		{Name: "narrator", Run: narrator.Run}}
	parts = append(parts, controllers.component())
	parts = append(parts, proxyParts(proxies, o.proxy, log)...)
	parts = append(parts, agent, lean(log))
	if len(o.files) > 0 {
		parts = append(parts, applyPart(con, o.server.dataDir, o.files, narrator.Ready()))
	}
	return parts, nil
}

// controllers are those of this process; the API server answers questions about them.
func (o *upOptions) controllers(server *apiserver.Server, log *slog.Logger) (*controllers, error) {
	client, err := clientAs(server, apiserver.UserController, "viaduct-controller")
	if err != nil {
		return nil, err
	}
	o.own.history = filepath.Join(o.server.dataDir, "history.jsonl")
	c, err := ownControllers(client, len(o.server.etcd.Servers) > 0, o.own, log)
	if err != nil {
		return nil, err
	}
	server.Handle(explainPath, c.explainHandler())
	server.Handle(historyPath, c.historyHandler())
	server.Handle(controllersMetricsPath, c.metricsHandler())
	return c, nil
}

func clientAs(server *apiserver.Server, user, userAgent string) (kubernetes.Interface, error) {
	return newClient(rest.AddUserAgent(server.ClientConfig(user), userAgent))
}

// tellReady prints where everything is as soon as the API answers; the other parts start right after.
func tellReady(con console, dataDir, url string) supervisor.Component {
	told := make(chan struct{})
	return supervisor.Component{Name: "announcement", Ready: told, Run: func(ctx context.Context) error {
		announce(con, dataDir, url)
		close(told)
		<-ctx.Done()
		return nil
	}}
}

// applyPart applies files once, after ready. A manifest that is refused is told, and nothing else stops for it: it can
// be applied again.
func applyPart(con console, dataDir string, files []string, ready <-chan struct{}) supervisor.Component {
	return supervisor.Component{Name: "manifests", Run: func(ctx context.Context) error {
		select {
		case <-ready:
			if err := newApplier(dataDir, con.Out).files(ctx, files); err != nil && ctx.Err() == nil {
				tellEach(con.Err, err)
			}
		case <-ctx.Done():
		}
		<-ctx.Done()
		return nil
	}}
}

// tellEach prints the errors of several manifests, each on its own.
func tellEach(w io.Writer, err error) {
	all := []error{err}
	var several utilerrors.Aggregate
	if errors.As(err, &several) {
		all = utilerrors.Flatten(several).Errors()
	}
	for _, e := range all {
		// the mapper's advice; this server has none
		text := strings.TrimSuffix(e.Error(), "\nensure CRDs are installed first")
		fmt.Fprintf(w, "viaduct: applying: %s\n", text)
	}
}
