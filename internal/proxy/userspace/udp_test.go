package userspace

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"viaduct/internal/routing"
)

// udpAddr is host part n of a /24 of this process, not the suite's and not the benchmarks'.
func udpAddr(n byte) netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(130 + pid%60), byte(pid / 60 % 250), n})
}

// udpStage is a UDP server with one endpoint that echoes.
func udpStage(t *testing.T, opts Options) *udpServer {
	t.Helper()
	echo, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(udpAddr(1), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { echo.Close() })
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := echo.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = echo.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	h := newHost(opts.withDefaults())
	s := newUDPServer(h, netip.AddrPortFrom(udpAddr(2), 7085))
	t.Cleanup(func() { s.close(); h.close() })
	pool := routing.Pool{Backends: []routing.Backend{{Addr: echo.LocalAddr().(*net.UDPAddr).AddrPort(), Weight: 1}}}
	p := compile([]routing.Frontend{{Key: routing.Key{Addr: s.at.Addr(), Port: s.at.Port(), Proto: routing.UDP},
		Inside: pool, Policy: routing.Random}})
	for _, f := range p.serve {
		if err := s.update(f); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// ping is one datagram of a new client, and its echo.
func ping(t *testing.T, s *udpServer) {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.at))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 10)); err != nil || n != 1 {
		t.Fatal(n, err)
	}
}

func (s *udpServer) flowCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flows)
}

func TestIdleFlowsEnd(t *testing.T) {
	s := udpStage(t, Options{UDPIdle: 20 * time.Millisecond})
	ping(t, s)
	eventually(t, "the flow ends", func() bool { return s.flowCount() == 0 })
	ping(t, s)
	eventually(t, "two flows are counted", func() bool {
		return s.counts() == Counts{Connections: 2, Sent: 2,
			Received: 2}
	})
}

// eventually waits for what nobody announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

func TestFlowsAreBounded(t *testing.T) {
	s := udpStage(t, Options{UDPFlows: 4})
	for range 20 {
		ping(t, s)
		if n := s.flowCount(); n > 4 {
			t.Fatalf("%d flows, want 4 at most", n)
		}
	}
}

// A client that nobody serves must not cost one that is served its flow.
func TestStrangersEndNoFlows(t *testing.T) {
	s := udpStage(t, Options{UDPFlows: 1})
	ping(t, s)
	f := *s.frontend.Load()
	f.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} // where ping sends from
	if err := s.update(&f); err != nil {
		t.Fatal(err)
	}
	if n := s.flowCount(); n != 1 {
		t.Fatalf("%d flows of clients that may connect, want 1", n)
	}
	stranger, err := net.DialUDP("udp", &net.UDPAddr{IP: udpAddr(3).AsSlice()}, net.UDPAddrFromAddrPort(s.at))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stranger is turned away", func() bool { return s.counts().Failures == 1 })
	if n := s.flowCount(); n != 1 {
		t.Errorf("%d flows after a stranger's datagram, want 1", n)
	}
}
