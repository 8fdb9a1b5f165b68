//go:build !linux

package checks

import (
	"context"
	"net"
	"net/netip"
)

// connector asks whether an address accepts a TCP connection.
type connector struct{}

func newConnector() *connector { return &connector{} }

// ask gives what connects to at.
func (*connector) ask(at netip.AddrPort) (err error, wait func(ctx context.Context) error) { //nolint:revive,staticcheck // as on Linux
	return nil, func(ctx context.Context) error {
		conn, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", at.String())
		if err != nil {
			return err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		return conn.Close()
	}
}
