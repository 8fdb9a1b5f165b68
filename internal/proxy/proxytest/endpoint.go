package proxytest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// endpoint is a TCP server. It sends its address ("address:port\n") to each new client, and then echoes until the
// client closes its side.
type endpoint struct {
	at       netip.AddrPort
	l        *net.TCPListener
	accepted atomic.Int64
	// inside, if set before the first client, replaces the echo.
	inside func(*net.TCPConn)
}

func (w *world) endpoint() *endpoint { return w.endpointWith(nil) }

func (w *world) endpointWith(inside func(*net.TCPConn)) *endpoint {
	w.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(w.addr(), 0)))
	if err != nil {
		w.Fatal(err)
	}
	e := &endpoint{at: l.Addr().(*net.TCPAddr).AddrPort(), l: l, inside: inside}
	w.Cleanup(func() { l.Close() })
	go e.run()
	return e
}

func (w *world) endpoints(n int) (list []*endpoint, at []netip.AddrPort) {
	w.Helper()
	for range n {
		e := w.endpoint()
		list, at = append(list, e), append(at, e.at)
	}
	return list, at
}

func (e *endpoint) run() {
	for {
		c, err := e.l.AcceptTCP()
		if err != nil {
			return
		}
		e.accepted.Add(1)
		go e.answer(c)
	}
}

// answer serves one connection. The client sees any failure.
func (e *endpoint) answer(c *net.TCPConn) {
	defer c.Close()
	if _, err := fmt.Fprintln(c, e.at); err != nil {
		return
	}
	if e.inside != nil {
		e.inside(c)
		return
	}
	_, _ = io.Copy(c, c)
}

// dead returns an address and port without a listener.
func (w *world) dead() netip.AddrPort {
	w.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(w.addr(), 0)))
	if err != nil {
		w.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// udpEndpoint answers each datagram with "address:port " and the datagram.
type udpEndpoint struct {
	at   netip.AddrPort
	conn *net.UDPConn
}

func (w *world) udpEndpoint() *udpEndpoint {
	w.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(w.addr(), 0)))
	if err != nil {
		w.Fatal(err)
	}
	e := &udpEndpoint{at: c.LocalAddr().(*net.UDPAddr).AddrPort(), conn: c}
	w.Cleanup(func() { c.Close() })
	go e.run()
	return e
}

func (e *udpEndpoint) run() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := e.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		_, _ = e.conn.WriteToUDPAddrPort(fmt.Appendf(nil, "%s %s", e.at, buf[:n]), from)
	}
}

// dialUDP returns a connected client with an address of its own. A connected socket receives refusals.
func dialUDP(to netip.AddrPort) (*net.UDPConn, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(patience))
}

// askUDP sends one datagram as a new client and returns who answered.
func askUDP(to netip.AddrPort) (netip.AddrPort, error) {
	c, err := dialUDP(to)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer c.Close()
	return exchange(c, "hello")
}

// exchange sends text on c and checks that the answer contains it.
func exchange(c *net.UDPConn, text string) (netip.AddrPort, error) {
	if _, err := c.Write([]byte(text)); err != nil {
		return netip.AddrPort{}, err
	}
	buf := make([]byte, 64<<10)
	n, err := c.Read(buf)
	if err != nil {
		return netip.AddrPort{}, err
	}
	who, rest, _ := bytes.Cut(buf[:n], []byte(" "))
	if string(rest) != text {
		return netip.AddrPort{}, fmt.Errorf("sent %d bytes, %d came back", len(text), len(rest))
	}
	return netip.ParseAddrPort(string(who))
}
