//go:build !linux

package healthcheck

import (
	"context"
	"net"
	"net/netip"
)

// connector tests whether an address accepts TCP connections.
type connector struct{}

func newConnector() *connector { return &connector{} }

// connect returns wait, which connects to at.
func (*connector) connect(at netip.AddrPort) (wait func(ctx context.Context) error, err error) {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", at.String())
		if err != nil {
			return err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		return conn.Close()
	}, nil
}
