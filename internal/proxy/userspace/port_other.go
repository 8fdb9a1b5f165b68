//go:build !linux

package userspace

import (
	"net"
	"net/netip"
)

// port is a TCP port. Where a bound socket that does not listen cannot be relied on to refuse, it is given back while
// nobody serves, and somebody else may take it.
type port struct {
	at netip.AddrPort
	l  *net.TCPListener // nil while it does not listen
}

func holdPort(at netip.AddrPort) (*port, error) { return &port{at: at}, nil }

func (p *port) listen() (err error) {
	p.l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(p.at))
	return err
}

func (p *port) hush() error { return p.l.Close() }

func (p *port) accept() (*net.TCPConn, error) { return p.l.AcceptTCP() }

func (p *port) close() {
	if p.l != nil {
		_ = p.l.Close()
	}
}

// gone cannot be known here, and a connection that failed counts as gone on both sides.
func gone(*net.TCPConn) bool { return true }
