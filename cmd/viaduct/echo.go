package main

import (
	"cmp"
	"net"
	"os"

	"github.com/spf13/cobra"

	"viaduct/internal/echo"
)

func newEcho(con console) *cobra.Command {
	o := echo.Options{}
	cmd := &cobra.Command{
		Use:   "echo",
		Short: "Run a test server that answers with its own name",
		Long: `Answers every HTTP request with its own name and address, followed by the request. The Pods of the
examples run it.

  GET  /                 name and address on the first line, then the request
  GET  /healthz          200 if the server is ready, 503 if it is not
  POST /ready?ok=false   make the server not ready; ok=true makes it ready again
  GET  /env              the environment variables that describe Services`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := onSignal(cmd.Context(), con.Err)
			defer stop()
			s, err := echo.New(o)
			if err != nil {
				return err
			}
			return s.Run(ctx)
		},
	}
	host, _ := os.Hostname()
	at := cmp.Or(os.Getenv("POD_IP"), "127.0.0.1")
	flags := cmd.Flags()
	flags.StringVar(&o.Name, "name", cmp.Or(os.Getenv("POD_NAME"), os.Getenv("HOSTNAME"), host),
		"name to answer with; $POD_NAME sets the default")
	o.HTTP = net.JoinHostPort(at, "8080")
	flags.Var(hostPort{&o.HTTP}, "listen", "address for HTTP; $POD_IP sets the IP address of the default")
	flags.Var(hostPort{&o.TCP}, "tcp", "address for TCP; each line is echoed after the name (default: none)")
	flags.Var(hostPort{&o.UDP}, "udp", "address for UDP; each datagram is echoed after the name (default: none)")
	flags.BoolVar(&o.Unready, "unready", false, "start as not ready")
	return cmd
}
