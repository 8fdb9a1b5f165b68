package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/addressrange"
	"viaduct/internal/datadir"
	"viaduct/internal/debugserver"
	"viaduct/internal/networkmode"
	"viaduct/internal/node"
	"viaduct/internal/node/network"
	"viaduct/internal/node/process"
	"viaduct/internal/node/runtime"
	"viaduct/internal/supervisor"
)

// The values of --runtime.
const (
	runtimeProcess = "process" // the containers of Pods are processes of this host
	runtimeNone    = "none"    // the Node is registered, and another program runs its Pods
)

type agentOptions struct {
	nodeName string
	podCIDRs []netip.Prefix // one, or one of each IP family with the primary first
	runtime  string
	runAs    string
}

func (o *agentOptions) register(flags *pflag.FlagSet) {
	flags.Var(cidrs{&o.podCIDRs}, "pod-cidr", "address range of Pods, or one of each IP family with the primary first; "+
		"inside 127.0.0.0/8 Pods share this host's network, outside each Pod has its own network, which needs root")
	o.runtime = runtimeProcess
	flags.Var(newChoice(&o.runtime, runtimeProcess, runtimeNone), "runtime",
		"how containers run: process runs their commands on this host, none runs no Pods")
	flags.StringVar(&o.runAs, "run-as", "", "USER or USER:GROUP of containers that name no user (default: the user of "+
		"this "+
		"process)")
	registerNodeName(flags, &o.nodeName)
}

func newAgent(con console, logs *logOptions) *cobra.Command {
	var client clientOptions
	o, address := agentOptions{podCIDRs: networkmode.Host().Pods}, defaultAgentAddress
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run the Pods of this host's Node as processes",
		Long: `Registers this host as a Node and runs the Pods that are bound to it as processes. It probes their
containers, restarts them, and reports their status.`,
		Example: `  viaduct agent --kubeconfig host-2.kubeconfig --node-name host-2`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := addressrange.CheckEach(addressrange.Pods(o.podCIDRs, addressrange.Here)); err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			return runAgent(cmd.Context(), con, client, o, address, logs)
		},
	}
	client.register(cmd)
	o.register(cmd.Flags())
	cmd.Flags().Var(optionalHostPort{&address}, "metrics-bind-address",
		"address for the agent's /metrics and /healthz; empty disables it")
	return cmd
}

func runAgent(ctx context.Context, con console, client clientOptions, o agentOptions, address string,
	logs *logOptions) (err error) {
	if o.nodeName, err = orHostName(o.nodeName); err != nil {
		return err
	}
	api, err := client.client("viaduct-agent")
	if err != nil {
		return err
	}
	dataDir, err := datadir.Create(client.dataDir)
	if err != nil {
		return err
	}
	unlock, err := datadir.Lock(dataDir, datadir.AgentLock)
	if err != nil {
		return err
	}
	defer unlock()
	log := logs.start(con.Err)
	pods, err := o.openNetwork(nil, log)
	if err != nil {
		return err
	}
	agent, metrics, err := agentPart(api, dataDir, o, pods, log)
	if err != nil {
		return err
	}
	parts := []supervisor.Component{agent, tuneGC(log)}
	if address != "" {
		parts = append(parts, portPart("agent metrics", address, defaultAgentAddress, debugserver.NewMux(metrics), log))
	}
	ctx, stop := onSignal(ctx, con.Err)
	defer stop()
	return supervisor.Run(ctx, nil, parts...)
}

// openNetwork opens the network of the Pods. It returns nil if they share the host's network. services are the address
// ranges that this host reaches through that network.
func (o agentOptions) openNetwork(services []netip.Prefix, log *slog.Logger) (*network.Network, error) {
	if o.runtime != runtimeProcess || addressrange.InLoopback(o.podCIDRs[0]) {
		return nil, nil
	}
	return network.Open(network.Options{Pods: o.podCIDRs, Services: services, Log: log.With("part", "network")})
}

// newRuntime makes the runtime of --runtime. It returns nil for none.
func (o agentOptions) newRuntime(dataDir string, pods *network.Network, log *slog.Logger) (runtime.Runtime, error) {
	if o.runtime == runtimeNone {
		return nil, nil
	}
	return process.New(process.Options{DataDir: dataDir, Network: pods, RunAs: o.runAs, Log: log})
}

// agentPart makes the agent. It closes the network of the Pods after the agent ends.
func agentPart(client kubernetes.Interface, dataDir string, o agentOptions, pods *network.Network,
	log *slog.Logger) (supervisor.Component, []prometheus.Collector, error) {
	log = log.With("part", "agent")
	containers, err := o.newRuntime(dataDir, pods, log)
	if err != nil {
		return supervisor.Component{}, nil, fmt.Errorf("making the container runtime: %w", err)
	}
	var second netip.Prefix // only Pods with a network of their own can have a second address
	if len(o.podCIDRs) > 1 && pods != nil {
		second = o.podCIDRs[1]
	}
	agent, err := node.New(client, node.Options{NodeName: o.nodeName, Runtime: containers, PodCIDR: o.podCIDRs[0],
		SecondPodCIDR: second, Log: log})
	if err != nil {
		return supervisor.Component{}, nil, fmt.Errorf("making the node agent: %w", err)
	}
	return supervisor.Component{Name: "agent", Run: func(ctx context.Context) error {
		if pods == nil {
			return agent.Run(ctx)
		}
		return runWithNetwork(ctx, agent, pods)
	}}, agent.Collectors(), nil
}

// runWithNetwork runs the agent and maintains the network of its Pods meanwhile.
func runWithNetwork(ctx context.Context, agent *node.Agent, pods *network.Network) error {
	own, cancel := context.WithCancel(ctx)
	kept := make(chan struct{})
	go func() { defer close(kept); pods.Keep(own) }()
	err := agent.Run(ctx)
	cancel()
	<-kept
	return errors.Join(err, pods.Close())
}
