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
		Short: "A tiny server that says who answered: something to put behind a Service",
		Long: `Answers every HTTP request with its own name and address, then the request. The examples run it in their Pods.

  GET  /            name and address on the first line, then the request
  GET  /healthz     200 while ready, 503 while not
  POST /ready?ok=false   stop being ready; ok=true: be ready again
  GET  /env         the variables about Services that this process was started with`,
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
	flags.Var(hostPort{&o.HTTP}, "listen", "address to serve HTTP on; $POD_IP sets the default's address")
	flags.Var(hostPort{&o.TCP}, "tcp", "address to echo TCP lines on, each after the name (default: none)")
	flags.Var(hostPort{&o.UDP}, "udp", "address to echo UDP datagrams on, each after the name (default: none)")
	flags.BoolVar(&o.Unready, "unready", false, "start without being ready")
	return cmd
}
