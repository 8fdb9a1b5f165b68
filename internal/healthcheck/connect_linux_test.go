package healthcheck

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viaduct/internal/prober"
)

// full is a listener with a full backlog. It accepts no connection until accept is called; then the client's kernel
// repeats its SYN within a second.
func full(t *testing.T, host string) (at netip.AddrPort, accept, end func()) {
	t.Helper()
	addr := netip.MustParseAddr(host)
	fd, err := unix.Socket(familyOf(netip.AddrPortFrom(addr, 0)), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	open := true
	end = func() {
		if open {
			_ = unix.Close(fd)
		}
		open = false
	}
	t.Cleanup(end)
	if err := errors.Join(unix.Bind(fd, sockaddrOf(netip.AddrPortFrom(addr, 0))), unix.Listen(fd, 0)); err != nil {
		t.Skipf("this host has no %s: %v", host, err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := 0
	switch sa := name.(type) {
	case *unix.SockaddrInet4:
		port = sa.Port
	case *unix.SockaddrInet6:
		port = sa.Port
	}
	at = netip.AddrPortFrom(addr, uint16(port))
	first, err := net.Dial("tcp", at.String()) // with a backlog of 0, one waits to be accepted
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Close() })
	return at, func() {
		other, _, err := unix.Accept(fd)
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(other)
	}, end
}

// Answers that are not there at once, as from another host.
func TestTCPLateAnswers(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			at, accept, end := full(t, host)
			check := parse(t, "tcp timeout=10s interval=20s")
			send := func() prober.Check {
				t.Helper()
				answer, later := newProbes().of(Target{at, check})()
				if later == nil {
					t.Fatalf("there is an answer already: %+v", answer)
				}
				return later
			}
			short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if got := send()(short); got.Verdict != prober.Bad || got.Output != "no answer within 10s" {
				t.Errorf("without an answer: %+v", got)
			}
			later := send()
			accept()
			if got := later(t.Context()); got.Verdict != prober.Good {
				t.Errorf("accepted late: %+v", got)
			}
			// The accepted connection has left the backlog, and the kernel has filled it again.
			later = send()
			end()
			if got := later(t.Context()); got.Verdict != prober.Bad || got.Output != syscall.ECONNREFUSED.Error() {
				t.Errorf("refused late: %+v", got)
			}
		})
	}
}
