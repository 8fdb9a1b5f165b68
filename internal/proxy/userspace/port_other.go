//go:build !linux

package userspace

import (
	"net"
	"net/netip"
)

// port is a TCP port. On these systems a bound socket that does not listen may not refuse connections. So the port is
// closed while there is no backend, and another process may bind it in that time.
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

// gone is always true, because the state of the connection is not known on these systems: after a failure, both sides
// count as broken.
func gone(*net.TCPConn) bool { return true }
