package userspace_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viaduct/internal/proxy/userspace"
	"viaduct/internal/routing"
)

// roundTrip connects, says something, and hears it again from an echo.
func roundTrip(to netip.AddrPort) error {
	c, err := net.DialTimeout("tcp", to.String(), 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 5))
	return err
}

// blackhole is a listener whose queue is full: the kernel ignores whoever comes.
func blackhole(t *testing.T, addr netip.Addr) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.As4()}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(addr, uint16(sa.(*unix.SockaddrInet4).Port))
	for range 5 {
		c, err := net.DialTimeout("tcp", at.String(), 100*time.Millisecond)
		if err != nil {
			return at
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue does not fill")
	return at
}

// Half of the pool neither accepts nor refuses. The first client that meets it waits for a tenth of DialTimeout; the
// others are spared.
func TestASilentEndpointIsAvoided(t *testing.T) {
	to, _ := served(t, userspace.Options{DialTimeout: 2 * time.Second}, echo(t), blackhole(t, benchAddr(9)))
	slow := 0
	for range 60 {
		started := time.Now()
		if err := roundTrip(to); err != nil {
			t.Fatal(err)
		}
		if time.Since(started) > 100*time.Millisecond {
			slow++
		}
	}
	if slow == 0 || slow > 3 {
		t.Errorf("%d of 60 clients waited, want one", slow)
	}
}

// A pool of silent endpoints does not hold a client for longer than DialTimeout.
func TestOnlySilentEndpoints(t *testing.T) {
	to, back := served(t, userspace.Options{DialTimeout: 300 * time.Millisecond}, blackhole(t, benchAddr(9)))
	started := time.Now()
	if err := roundTrip(to); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	if took := time.Since(started); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	if c := back.Counts(routing.Dest{Addr: to, Proto: routing.TCP}); c.Failures != 1 || c.Connections != 0 {
		t.Errorf("counted %+v", c)
	}
}

// While files have run out the proxy waits, without spinning; when there are some again it goes on.
func TestOutOfFiles(t *testing.T) {
	to, _ := served(t, userspace.Options{}, echo(t))
	if err := roundTrip(to); err != nil {
		t.Fatal(err)
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(client)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	before := cpu(t)
	err = unix.Connect(client, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	time.Sleep(200 * time.Millisecond) // nothing can be awaited here: that nothing happens is the point
	used := cpu(t) - before
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err != nil || used > 100*time.Millisecond {
		t.Errorf("connect: %v; the proxy used %s of 200 ms", err, used)
	}
	if err := roundTrip(to); err != nil {
		t.Errorf("with files again: %v", err)
	}
}

// cpu is what this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A port without endpoints refuses, and yet nobody else can take it.
func TestAPortWithoutEndpointsIsHeld(t *testing.T) {
	to, _ := served(t, userspace.Options{})
	if err := roundTrip(to); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want a refusal", err)
	}
	if l, err := net.Listen("tcp", to.String()); err == nil {
		l.Close()
		t.Error("somebody else could listen there")
	}
}

func TestAnAddressThatIsNotHere(t *testing.T) {
	back := userspace.New(userspace.Options{})
	defer back.Close()
	key := routing.Key{Kind: routing.ExternalIP, Addr: netip.MustParseAddr("192.0.2.77"), Port: 7070, Proto: routing.TCP}
	f := routing.Frontend{Key: key, Service: routing.Name{Namespace: "a", Name: "b", Port: "c"},
		Inside: routing.Pool{Empty: routing.Reject}, Policy: routing.Random}
	tab, changed := (&routing.Table{}).With(routing.Entry{Service: f.Service.Service(), Frontends: []routing.Frontend{f}})
	failed, rest := routing.Split(back.Sync(t.Context(), tab, changed))
	if len(failed) != 1 || rest != nil || !errors.Is(failed[0], syscall.EADDRNOTAVAIL) ||
		!strings.Contains(failed[0].Error(), "192.0.2.77:7070") {
		t.Errorf("%v; %v", failed, rest)
	}
}

func TestCounts(t *testing.T) {
	to, back := served(t, userspace.Options{}, echo(t))
	for range 3 {
		if err := roundTrip(to); err != nil {
			t.Fatal(err)
		}
	}
	want := userspace.Counts{Connections: 3, Sent: 15, Received: 15}
	d := routing.Dest{Addr: to, Proto: routing.TCP}
	for deadline := time.Now().Add(10 * time.Second); back.Counts(d) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("counted %+v, want %+v", back.Counts(d), want)
		}
	}
	if got := back.Counts(routing.Dest{}); got != (userspace.Counts{}) {
		t.Errorf("nothing counted %+v", got)
	}
}

// An endpoint that is the Service itself must not make connections breed.
func TestNoCircles(t *testing.T) {
	self := netip.AddrPortFrom(benchAddr(2), 7090) // where served serves
	to, back := served(t, userspace.Options{}, self)
	if to != self {
		t.Fatalf("served at %s", to)
	}
	if err := roundTrip(to); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	if c := back.Counts(routing.Dest{Addr: to, Proto: routing.TCP}); c.Failures != 1 || c.Connections != 0 {
		t.Errorf("one client, counted %+v", c)
	}
}

// Without the privilege a low port is refused, and the rest is served. The privilege is taken from one thread, which
// ends with its goroutine, because that is never unlocked from it.
func TestAPortThatNeedsAPrivilege(t *testing.T) {
	low, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil || strings.TrimSpace(string(low)) == "0" {
		t.Skipf("every port is free to all here: ip_unprivileged_port_start is %q (%v)", low, err)
	}
	back := userspace.New(userspace.Options{})
	defer back.Close()
	name := routing.Name{Namespace: "a", Name: "b"}
	var fs []routing.Frontend
	for _, port := range []uint16{81, 7091} {
		fs = append(fs, routing.Frontend{Key: routing.Key{Kind: routing.ClusterIP, Addr: benchAddr(5), Port: port,
			Proto: routing.TCP}, Service: name, Policy: routing.Random})
	}
	tab, changed := (&routing.Table{}).With(routing.Entry{Service: name, Frontends: fs})
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		none := [2]unix.CapUserData{}
		if err := unix.Capset(&head, &none[0]); err != nil {
			result <- err
			return
		}
		result <- back.Sync(t.Context(), tab, changed)
	}()
	failed, rest := routing.Split(<-result)
	if len(failed) != 1 || rest != nil || failed[0].Key.Port != 81 || !errors.Is(failed[0], syscall.EACCES) {
		t.Errorf("%v; %v", failed, rest)
	}
}
