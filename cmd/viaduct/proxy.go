package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/proxy"
	"viaduct/internal/proxy/userspace"
)

// Which data path carries connections.
const (
	proxyAuto      = "auto" // the best this host offers; today always userspace
	proxyUserspace = "userspace"
	proxyNone      = "none"
)

type proxyOptions struct {
	mode     string
	nodeName string
}

func (o *proxyOptions) register(flags *pflag.FlagSet) {
	o.mode = proxyAuto
	flags.Var(newChoice(&o.mode, proxyAuto, proxyUserspace, proxyNone), "proxy",
		"how connections reach Pods: userspace needs no privilege, none leaves them alone, auto takes the best there is")
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
			return runProxy(cmd.Context(), con, client, o, logs)
		},
	}
	client.register(cmd)
	o.register(cmd.Flags())
	registerNodeName(cmd.Flags(), &o.nodeName)
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
	return supervise(ctx, nil, append(proxyParts(api, o, log), lean(log))...)
}

// proxyParts makes the proxy, or nothing for --proxy=none.
func proxyParts(client kubernetes.Interface, o proxyOptions, log *slog.Logger) []part {
	if o.mode == proxyNone {
		return nil
	}
	log = log.With("part", "proxy")
	return []part{{name: "proxy", run: func(ctx context.Context) error {
		backend := userspace.New(userspace.Options{Log: log})
		p := proxy.New(client, proxy.Options{NodeName: o.nodeName, Backend: backend, Log: log})
		return errors.Join(p.Run(ctx), backend.Close())
	}}}
}
