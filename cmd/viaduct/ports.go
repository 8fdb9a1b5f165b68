package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"viaduct/internal/debugserver"
	"viaduct/internal/supervisor"
)

// The default addresses of the HTTP ports. The port numbers are kube-proxy's and the kubelet's read-only port.
const (
	defaultHealthAddress  = "127.0.0.1:10256"
	defaultMetricsAddress = "127.0.0.1:10249"
	defaultAgentAddress   = "127.0.0.1:10255"
)

// portPart serves h on an address that may be in use for a while.
func portPart(name, address, defaultAddress string, h http.Handler, log *slog.Logger) supervisor.Component {
	port := debugserver.Port{Name: name, Address: address, Default: address == defaultAddress}
	return supervisor.Component{Name: name, Run: func(ctx context.Context) error {
		return debugserver.ListenAndServe(ctx, port, h, log)
	}}
}

// debugPart serves h on the secure port.
func debugPart(l net.Listener, h http.Handler, log *slog.Logger) supervisor.Component {
	return supervisor.Component{Name: "secure port", Run: func(ctx context.Context) error {
		return debugserver.Serve(ctx, l, h, log)
	}}
}
