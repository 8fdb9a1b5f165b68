package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/node"
)

type agentOptions struct {
	nodeName string
	podCIDR  netip.Prefix
	runtime  string
	runAs    string
}

func (o *agentOptions) register(flags *pflag.FlagSet) {
	o.podCIDR = netip.MustParsePrefix("127.128.0.0/16")
	flags.Var(cidr{&o.podCIDR}, "pod-cidr", "range that Pods' addresses are taken from; inside 127.0.0.0/8, unless --runtime is none")
	o.runtime = node.RuntimeProcess
	flags.Var(newChoice(&o.runtime, node.RuntimeProcess, node.RuntimeNone), "runtime", "how containers run: process runs each command on this host, none runs no Pods")
	flags.StringVar(&o.runAs, "run-as", "", "USER or USER:GROUP that containers run as when they name none (default: as this process)")
	registerNodeName(flags, &o.nodeName)
}

func newAgent(con console, logs *logOptions) *cobra.Command {
	var client clientOptions
	var o agentOptions
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run the Pods bound to this host as processes",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := podRange(o.podCIDR, o.runtime != node.RuntimeNone).check(); err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			return runAgent(cmd.Context(), con, client, o, logs)
		},
	}
	client.register(cmd)
	o.register(cmd.Flags())
	return cmd
}

func runAgent(ctx context.Context, con console, client clientOptions, o agentOptions, logs *logOptions) error {
	name, err := orHostName(o.nodeName)
	if err != nil {
		return err
	}
	o.nodeName = name
	api, err := client.client("viaduct-agent")
	if err != nil {
		return err
	}
	dataDir, err := makeDataDir(client.dataDir)
	if err != nil {
		return err
	}
	unlock, err := takeLocks(dataDir, agentLock)
	if err != nil {
		return fmt.Errorf("claiming the data directory: %w", err)
	}
	defer unlock()
	log := logs.start(con.Err)
	p, err := agentPart(api, dataDir, o, log)
	if err != nil {
		return err
	}
	ctx, stop := onSignal(ctx, con.Err)
	defer stop()
	return supervise(ctx, nil, p, lean(log))
}

func agentPart(client kubernetes.Interface, dataDir string, o agentOptions, log *slog.Logger) (part, error) {
	agent, err := node.New(client, node.Options{
		NodeName: o.nodeName,
		PodCIDR:  o.podCIDR,
		DataDir:  dataDir,
		Runtime:  o.runtime,
		RunAs:    o.runAs,
		Log:      log.With("part", "agent"),
	})
	if err != nil {
		return part{}, fmt.Errorf("making the node agent: %w", err)
	}
	return part{name: "agent", run: agent.Run}, nil
}
