package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/proxy"
	"viaduct/internal/supervisor"
)

// Which data path carries connections.
const (
	proxyAuto      = "auto" // the kernel's where the Services' addresses and the host allow it
	proxyNFT       = "nft"
	proxyUserspace = "userspace"
	proxyNone      = "none"
)

type proxyOptions struct {
	mode      string
	nodeName  string
	pods      []netip.Prefix  // where the Pods of this node have their addresses, besides what the Node says
	nodePorts proxy.NodePorts // on which addresses node ports are served
	ports     proxyPorts
	keep      bool // the kernel goes on carrying connections when this process has ended
	takeOver  takeOverOptions
}

func (o *proxyOptions) register(flags *pflag.FlagSet) {
	o.mode = proxyAuto
	o.ports.register(flags)
	flags.Var(newChoice(&o.mode, proxyAuto, proxyNFT, proxyUserspace, proxyNone), "proxy",
		"how connections reach Pods: nft has the kernel redirect them, userspace copies them and needs no privilege, "+
			"none leaves them alone, auto takes nft where the host allows it and the Services' addresses are not in 127.0.0.0/8")
	flags.Var(nodePortAddresses{&o.nodePorts}, "nodeport-addresses",
		"where node ports are served: primary is the node's own address of each family; of ranges, every address of this "+
			"host in one of them is meant")
}

func newProxy(con console, logs *logOptions) *cobra.Command {
	var client clientOptions
	var o proxyOptions
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Make connections to Services reach their endpoints",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.mode == proxyNone {
				return usageError{cmd.CommandPath(), fmt.Errorf("--proxy=none leaves nothing to do")}
			}
			if err := o.takeOver.check(o.mode); err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			return runProxy(cmd.Context(), con, client, o, logs)
		},
	}
	client.register(cmd)
	o.register(cmd.Flags())
	o.keep = true
	cmd.Flags().Var(cidrs{&o.pods}, "cluster-cidr", "range of the Pods' addresses, or one of each family: connections "+
		"from there are not hidden behind this node's address (default: the Node's spec.podCIDRs)")
	registerNodeName(cmd.Flags(), &o.nodeName)
	o.takeOver.register(cmd.Flags())
	cmd.AddCommand(newProxyCleanup(con))
	return cmd
}

func runProxy(ctx context.Context, con console, client clientOptions, o proxyOptions, logs *logOptions) error {
	name, err := orHostName(o.nodeName)
	if err != nil {
		return err
	}
	o.nodeName = name
	api, err := client.client("viaduct-proxy")
	if err != nil {
		return err
	}
	ctx, stop := onSignal(ctx, con.Err)
	defer stop()
	log := logs.start(con.Err)
	if o.takeOver.dryRun {
		return dryRun(ctx, con.Out, api, o, log)
	}
	return supervisor.Run(ctx, nil, append(proxyParts(api, o, log), lean(log))...)
}

// proxyParts makes the proxy, or nothing for --proxy=none.
func proxyParts(client kubernetes.Interface, o proxyOptions, log *slog.Logger) []supervisor.Component {
	if o.mode == proxyNone {
		return nil
	}
	log = log.With("part", "proxy")
	backend := newDataPath(o, log)
	takeOver, applied := o.takeOver.part(backend, log)
	p := proxy.New(client, proxy.Options{NodeName: o.nodeName, Backend: backend, NodePorts: o.nodePorts,
		OnApplied: applied, Log: log})
	run := func(ctx context.Context) error { return errors.Join(p.Run(ctx), backend.Close()) }
	return append(append([]supervisor.Component{{Name: "proxy", Run: run}}, takeOver...), o.ports.parts(p, backend, log)...)
}
