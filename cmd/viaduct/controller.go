package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"viaduct/internal/endpoints"
	"viaduct/internal/scheduler"
)

const (
	endpointsController = "endpoints" // Endpoints, EndpointSlices and the slices mirrored from Endpoints written by hand
	schedulerController = "scheduler" // binds Pods to nodes; a cluster has one already
)

func newController(con console, logs *logOptions) *cobra.Command {
	var client clientOptions
	which := []string{endpointsController}
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Keep Endpoints and EndpointSlices equal to the Pods behind each Service",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkControllers(which); err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			api, err := client.client("viaduct-controller")
			if err != nil {
				return err
			}
			ctx, stop := onSignal(cmd.Context(), con.Err)
			defer stop()
			log := logs.start(con.Err)
			return supervise(ctx, nil, append(controllerParts(api, which, log), lean(log))...)
		},
	}
	client.register(cmd)
	cmd.Flags().StringSliceVar(&which, "controllers", which, "which controllers to run: endpoints, scheduler")
	return cmd
}

func checkControllers(which []string) error {
	if len(which) == 0 {
		return fmt.Errorf("--controllers names none: there would be nothing to do")
	}
	for _, name := range which {
		if known := []string{endpointsController, schedulerController}; !slices.Contains(known, name) {
			return fmt.Errorf("--controllers: there is no %q; want %s", name, strings.Join(known, " or "))
		}
	}
	return nil
}

// controllerParts makes the controllers that which names, each once.
func controllerParts(client kubernetes.Interface, which []string, log *slog.Logger) []part {
	var parts []part
	if slices.Contains(which, endpointsController) {
		c := endpoints.New(client, endpoints.Options{Log: log.With("part", "endpoints")})
		parts = append(parts, part{name: "endpoints controller", run: c.Run})
	}
	if slices.Contains(which, schedulerController) {
		s := scheduler.New(client, log.With("part", "scheduler"))
		parts = append(parts, part{name: "scheduler", run: s.Run})
	}
	return parts
}
