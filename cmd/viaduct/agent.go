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

	"viaduct/internal/node"
	"viaduct/internal/node/network"
	"viaduct/internal/node/process"
	"viaduct/internal/node/runtime"
	"viaduct/internal/supervisor"
)

// defaultAgentPort is where a kubelet, too, can be asked without a password.
const defaultAgentPort = "127.0.0.1:10255"

// The values of --runtime.
const (
	runtimeProcess = "process" // the containers of Pods are processes of this host
	runtimeNone    = "none"    // the Node is registered, and another program runs its Pods
)

type agentOptions struct {
	nodeName string
	podCIDRs []netip.Prefix // one, or one of each family, the primary first
	runtime  string
	runAs    string
}

func (o *agentOptions) register(flags *pflag.FlagSet) {
	flags.Var(cidrs{&o.podCIDRs}, "pod-cidr", "range that Pods' addresses are taken from, or one of each family, the "+
		"primary first; inside 127.0.0.0/8 Pods share this host's network, "+
		"outside each has its own, which needs root")
	o.runtime = runtimeProcess
	flags.Var(newChoice(&o.runtime, runtimeProcess, runtimeNone), "runtime",
		"how containers run: process runs each command on this host, none runs no Pods")
	flags.StringVar(&o.runAs, "run-as", "", "USER or USER:GROUP that containers run as when they name none (default: "+
		"as this process)")
	registerNodeName(flags, &o.nodeName)
}

func newAgent(con console, logs *logOptions) *cobra.Command {
	var client clientOptions
	o, port := agentOptions{podCIDRs: loopbackPods}, defaultAgentPort
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run the Pods bound to this host as processes",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkEach(podRanges(o.podCIDRs, servedHere)); err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			return runAgent(cmd.Context(), con, client, o, port, logs)
		},
	}
	client.register(cmd)
	o.register(cmd.Flags())
	cmd.Flags().Var(optionalHostPort{&port}, "metrics-bind-address", "where /metrics and /healthz of the agent are; "+
		"empty: nowhere")
	return cmd
}

func runAgent(ctx context.Context, con console, client clientOptions, o agentOptions, port string,
	logs *logOptions) error {
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
	pods, err := o.openNetwork(nil, log)
	if err != nil {
		return err
	}
	p, metrics, err := agentPart(api, dataDir, o, pods, log)
	if err != nil {
		return err
	}
	parts := []supervisor.Component{p, lean(log)}
	if port != "" {
		parts = append(parts, portPart("agent's metrics port", port, askable(metrics), log))
	}
	ctx, stop := onSignal(ctx, con.Err)
	defer stop()
	return supervisor.Run(ctx, nil, parts...)
}

// openNetwork makes the network of the Pods, or none where they share the host's. services are the ranges that this
// host is to reach through it.
func (o agentOptions) openNetwork(services []netip.Prefix, log *slog.Logger) (*network.Network, error) {
	if o.runtime != runtimeProcess || inLoopback(o.podCIDRs[0]) {
		return nil, nil
	}
	return network.Open(network.Options{Pods: o.podCIDRs, Services: services, Log: log.With("part", "network")})
}

// newRuntime makes the runtime of --runtime, or none.
func (o agentOptions) newRuntime(dataDir string, pods *network.Network, log *slog.Logger) (runtime.Runtime, error) {
	if o.runtime == runtimeNone {
		return nil, nil
	}
	return process.New(process.Options{DataDir: dataDir, Network: pods, RunAs: o.runAs, Log: log})
}

// agentPart makes the agent. When it ends, so does the network of its Pods, if they have one.
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
		own, cancel := context.WithCancel(ctx)
		kept := make(chan struct{})
		go func() { defer close(kept); pods.Keep(own) }()
		err := agent.Run(ctx)
		cancel()
		<-kept
		return errors.Join(err, pods.Close())
	}}, agent.Collectors(), nil
}
