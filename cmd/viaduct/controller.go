package main

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"viaduct/internal/controllermanager"
	"viaduct/internal/debugserver"
	"viaduct/internal/supervisor"
)

// controllerOptions are the flags of `viaduct controller`. Where kube-controller-manager has the same option, the flag
// has the same name.
type controllerOptions struct {
	client      clientOptions
	controllers []string // as given
	election    controllermanager.Election
	bindAddress net.IP
	securePort  uint16
	historyFile string
	checkRate   uint16
}

// defaultSecurePort is the port of kube-controller-manager plus ten, so that both may run on one host.
const defaultSecurePort = 10267

func newController(con console, logs *logOptions) *cobra.Command {
	var o controllerOptions
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Keep Endpoints and EndpointSlices in line with the Pods of each Service",
		Long: `Keeps Endpoints and EndpointSlices in line with the Pods of each Service, on any Kubernetes API
server.

Several controllers may run. One of them works. When it is stopped, another takes over within a
second; when it dies, another takes over after the lease duration.

On a cluster with a kube-controller-manager, turn off the same controllers there first. Otherwise
both undo each other's writes:

  --controllers=*,-endpoints-controller,-endpointslice-controller,-endpointslicemirroring-controller

Viaduct takes over the objects as they are, without a write, and so does kube-controller-manager on
the way back.`,
		Example: `  viaduct controller --kubeconfig admin.conf
  viaduct controller --kubeconfig admin.conf --controllers endpointslicemirroring-controller
  curl -k -H "Authorization: Bearer $TOKEN" 'https://127.0.0.1:10267/debug/endpoints/default/web?output=table'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			names, err := controllermanager.Parse(o.controllers)
			if err == nil {
				err = o.checkElection()
			}
			if err != nil {
				return usageError{cmd.CommandPath(), err}
			}
			return runController(cmd.Context(), con, o, names, logs)
		},
	}
	o.client.register(cmd)
	o.register(cmd.Flags())
	return cmd
}

func (o *controllerOptions) register(flags *pflag.FlagSet) {
	flags.StringSliceVar(&o.controllers, "controllers", []string{controllermanager.Defaults},
		"controllers to run: endpoints-controller, endpointslice-controller, endpointslicemirroring-controller, scheduler; "+
			"endpoints or * means the first three, and -NAME turns one off")
	o.registerElection(flags)
	flags.IPVar(&o.bindAddress, "bind-address", net.IPv4(127, 0, 0, 1), "address of --secure-port")
	flags.Uint16Var(&o.securePort, "secure-port", defaultSecurePort, "HTTPS port for metrics and debug endpoints; health "+
		"checks are open, other paths need RBAC; 0 disables it")
	registerCheckRate(flags, &o.checkRate)
	flags.StringVar(&o.historyFile, "history-file", "", "file for the changes that 'viaduct history' lists, at most 16 "+
		"MiB (default: the last 10,000 changes, in memory)")
}

func (o *controllerOptions) registerElection(flags *pflag.FlagSet) {
	e := &o.election
	*e = controllermanager.DefaultElection()
	flags.BoolVar(&e.Enabled, "leader-elect", e.Enabled, "work only while holding a Lease, so that several controllers "+
		"may "+
		"run; the others keep their caches in sync")
	flags.DurationVar(&e.Times.Lease, "leader-elect-lease-duration", e.Times.Lease,
		"how long the others wait before they take over from a leader that died")
	flags.DurationVar(&e.Times.Renew, "leader-elect-renew-deadline", e.Times.Renew,
		"how long a leader tries to renew the Lease before it stops working")
	flags.DurationVar(&e.Times.Retry, "leader-elect-retry-period", e.Times.Retry,
		"time between two attempts to acquire or renew the Lease")
	flags.StringVar(&e.Lease.Name, "leader-elect-resource-name", e.Lease.Name, "name of the Lease")
	flags.StringVar(&e.Lease.Namespace, "leader-elect-resource-namespace", e.Lease.Namespace,
		"namespace of the Lease; it must exist")
}

// registerCheckRate registers a flag of every command with an endpoints controller.
func registerCheckRate(flags *pflag.FlagSet, value *uint16) {
	flags.Uint16Var(value, "check-rate", 2000, "limit on health checks per second, of all Services with a "+
		"viaduct.dev/health-check annotation together; with more addresses, each is checked less often")
}

func (o *controllerOptions) checkElection() error {
	if !o.election.Enabled {
		return nil
	}
	if err := o.election.Times.Check(); err != nil {
		return fmt.Errorf("--leader-elect-…: %w", err)
	}
	return nil
}

func runController(ctx context.Context, con console, o controllerOptions, names []string, logs *logOptions) error {
	api, err := o.client.client("viaduct-controller")
	if err != nil {
		return err
	}
	listener, err := o.listen()
	if err != nil {
		return err
	}
	ctx, stop := onSignal(ctx, con.Err)
	defer stop()
	log := logs.start(con.Err)
	manager, err := controllermanager.New(api, controllermanager.Options{Controllers: names, Election: o.election,
		HistoryFile: o.historyFile, CheckRate: int(o.checkRate), Log: log})
	if err != nil {
		return err
	}
	parts := []supervisor.Component{managerPart(manager), tuneGC(log)}
	if listener != nil {
		parts = append([]supervisor.Component{debugPart(listener, manager.Handler(api), log)}, parts...)
	}
	return supervisor.Run(ctx, nil, parts...)
}

// listen opens the secure port. It returns nil if the port is disabled.
func (o *controllerOptions) listen() (net.Listener, error) {
	if o.securePort == 0 {
		return nil, nil
	}
	listener, err := debugserver.ListenTLS(o.bindAddress, o.securePort)
	if err != nil {
		return nil, fmt.Errorf("opening the --secure-port (choose another if it is in use, or 0): %w", err)
	}
	return listener, nil
}

func managerPart(m *controllermanager.Manager) supervisor.Component {
	return supervisor.Component{Name: "controllers", Run: m.Run}
}
