package test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A gateway stands between clients and a server that comes and goes: the clients keep one address, and their
// connections can be cut.
type gateway struct {
	listener net.Listener
	carrying sync.WaitGroup

	mu     sync.Mutex
	target string            // guarded by mu; where the server listens, empty while it is away
	open   map[net.Conn]bool // guarded by mu
}

func newGateway(t testing.TB) *gateway {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // every server certifies this address
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{listener: listener, open: map[net.Conn]bool{}}
	g.carrying.Go(g.accept)
	t.Cleanup(func() {
		listener.Close()
		g.leadTo("")
		g.carrying.Wait()
	})
	return g
}

func (g *gateway) address() string { return g.listener.Addr().String() }

// cut cuts the connections that are open, and lets new ones through as before.
func (g *gateway) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cutAll()
}

// cutAll needs mu.
func (g *gateway) cutAll() {
	for conn := range g.open {
		conn.Close()
	}
	clear(g.open)
}

// leadTo sends clients to target from now on; the connections that are open are cut.
func (g *gateway) leadTo(target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.target = target
	g.cutAll()
}

func (g *gateway) accept() {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return // the test has ended
		}
		g.carrying.Go(func() { g.carry(client) })
	}
}

// carry copies both ways until one side ends, or the connection is cut.
func (g *gateway) carry(client net.Conn) {
	defer client.Close()
	g.mu.Lock()
	target := g.target
	g.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return // it is away, and the client is to see that
	}
	defer server.Close()
	if !g.enter(target, client, server) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(client, server) // that the server has ended is told by closing
		client.Close()
	})
	io.Copy(server, client) // and so is that the client has
	server.Close()
	back.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, client)
	delete(g.open, server)
}

// enter makes a connection one of those that can be cut, unless it was cut while it was made.
func (g *gateway) enter(target string, both ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.target != target {
		return false
	}
	for _, conn := range both {
		g.open[conn] = true
	}
	return true
}
