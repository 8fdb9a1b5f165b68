package main

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/spf13/cobra"

	"viaduct/internal/demo"
	"viaduct/internal/proxy/datapath"
)

func newDemo(con console, logs *logOptions) *cobra.Command {
	o := demo.Options{Out: con.Out}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show what a Service is, step by step, in a temporary directory",
		Long: `Starts everything in a temporary directory, as any user, and shows what a Service is: Pods behind
it, Endpoints that a person wrote, a Pod that stops being ready, and the environment variables of a
container. The demo checks every claim that it prints, and exits with code 1 if one is false. At the
end it removes everything that it made.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := onSignal(cmd.Context(), con.Err)
			defer stop()
			log := logs.start(con.Err)
			o.Up = func(ctx context.Context, env demo.Environment) error { return demoUp(ctx, con, env, log) }
			return demo.Run(ctx, o)
		},
	}
	cmd.Flags().BoolVar(&o.Keep, "keep", false, "after the tour, leave everything running until Ctrl-C")
	return cmd
}

// demoUp runs `viaduct up` for the demo.
func demoUp(ctx context.Context, con console, env demo.Environment, log *slog.Logger) error {
	con.Out = env.Out
	o := upOptions{
		server: serverOptions{dataDir: env.DataDir, listen: "127.0.0.1:0",
			serviceCIDRs: []netip.Prefix{env.Addresses.Services}},
		proxy: proxyOptions{mode: datapath.Auto},
		agent: agentOptions{podCIDRs: []netip.Prefix{env.Addresses.Pods}, runtime: runtimeProcess},
	}
	return up(ctx, con, o, log, env.Ready)
}
