package main

import (
	"context"
	"log/slog"

	"viaduct/internal/supervisor"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
)

// controllerOptions are the flags of `viaduct controller`.
type controllerOptions struct {
	client   clientOptions
	which    []string // as given
	election electionOptions
	debug    debugOptions
	own      endpointsOptions
}

func newController(con console, logs *logOptions) *cobra.Command {
	var o controllerOptions
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Keep Endpoints and EndpointSlices equal to the Pods behind each Service",
		Long: `Keeps Endpoints and EndpointSlices equal to the Pods behind each Service, for any Kubernetes API server.

Several may run: one works, and the others take over within a second when it is stopped, or within the lease duration when it dies.

On a cluster that has a kube-controller-manager, turn the same controllers off there first, or the two undo each other's writes:

  --controllers=*,-endpoints-controller,-endpointslice-controller,-endpointslicemirroring-controller

What it left is taken over as it is, without a write; and so it is the other way round.`,
		Example: `  viaduct controller --kubeconfig admin.conf
  viaduct controller --kubeconfig admin.conf --controllers endpointslicemirroring-controller
  curl -k -H "Authorization: Bearer $TOKEN" 'https://127.0.0.1:10267/debug/endpoints/default/web?output=table'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			which, err := chosenControllers(o.which)
			if err == nil {
				err = o.election.check()
			}
			if err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			return runController(cmd.Context(), con, o, which, logs)
		},
	}
	o.client.register(cmd)
	cmd.Flags().StringSliceVar(&o.which, "controllers", []string{everyController},
		"which controllers to run: endpoints-controller, endpointslice-controller, endpointslicemirroring-controller (all "+
			"three: endpoints, or *), scheduler; -NAME leaves one out")
	o.election.register(cmd.Flags())
	o.debug.register(cmd.Flags())
	o.own.register(cmd.Flags())
	cmd.Flags().StringVar(&o.own.history, "history-file", "", "where to keep what 'viaduct history' tells, at most 16 "+
		"MiB (default: the latest 10,000 changes, in memory)")
	return cmd
}

func runController(ctx context.Context, con console, o controllerOptions, which []string, logs *logOptions) error {
	api, err := o.client.client("viaduct-controller")
	if err != nil {
		return err
	}
	listener, err := o.debug.listen()
	if err != nil {
		return err
	}
	ctx, stop := onSignal(ctx, con.Err)
	defer stop()
	log := logs.start(con.Err)
	c, err := newControllers(api, which, o.election, o.own, log)
	if err != nil {
		return err
	}
	var parts []supervisor.Component
	if listener != nil {
		parts = append(parts, debugPart(listener, c, api, log))
	}
	return supervisor.Run(ctx, nil, append(parts, c.component(), lean(log))...)
}

// ownControllers are those of `viaduct up`. They are the only ones if the store is its own; over a store that other
// servers share, one process works, as for `viaduct controller`.
func ownControllers(client kubernetes.Interface, shared bool, own endpointsOptions, log *slog.Logger) (*controllers,
	error) {
	election := defaultElection()
	election.elect = shared
	return newControllers(client, knownControllers(), election, own, log)
}
