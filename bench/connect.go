package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// follows is the delay between the readiness of a Service's only Pod and the connections to it.
type follows struct{ Reached, Avoided []time.Duration }

// measureConnect flips the readiness of the only Pod of a Service. It measures the time from the acknowledged write to
// the first connection that reaches the Pod, or that is refused. It does so for the userspace proxy and for the
// kernel's data path.
func measureConnect(ctx context.Context, b *bench) ([]row, error) {
	copied, err := flipAndConnect(ctx, b)
	if err != nil {
		return nil, err
	}
	rows := []row{
		{"Pod ready → first connection through the userspace proxy that reaches it", tail(copied.Reached), "p99 under 25 ms"},
		{"Pod not ready → first connection that avoids it", tail(copied.Avoided), "p99 under 25 ms"},
	}
	var kernel follows
	err = inNamespace(ctx, &kernel, insideConnect, b.binary, fmt.Sprint(b.quick))
	if errors.Is(err, syscall.EPERM) {
		return append(rows, row{"the same with the kernel's data path", "needs root", ""}, row{"", "", ""}), nil
	}
	if err != nil {
		return nil, err
	}
	return append(rows,
		row{"Pod ready → first connection through the kernel (nftables) that reaches it", tail(kernel.Reached),
			"p50 under 8 ms, p99 under 25 ms"},
		row{"Pod not ready → first connection that avoids it", tail(kernel.Avoided), "p50 under 8 ms, p99 under 25 ms"}), nil
}

// insideConnect is the argument that makes this program measure the kernel's data path, in a namespace.
const insideConnect = "-inside-connect"

// kernelServices is the service CIDR in that namespace.
const kernelServices = "10.96.0.0/16"

func runInsideConnect(ctx context.Context, args []string) error {
	if err := makeNetwork(); err != nil {
		return err
	}
	r, err := flipAndConnect(ctx, &bench{binary: args[0], quick: args[1] == "true", kernel: true})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// makeNetwork makes the addresses of all Pods local to the namespace, and adds a route to the Services.
func makeNetwork() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	_, pods, err := net.ParseCIDR("10.244.0.0/16")
	if err != nil {
		return err
	}
	_, services, err := net.ParseCIDR(kernelServices)
	if err != nil {
		return err
	}
	index := lo.Attrs().Index
	return errors.Join(
		netlink.RouteAdd(&netlink.Route{LinkIndex: index, Dst: pods, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL,
			Scope: netlink.SCOPE_HOST}),
		netlink.RouteAdd(&netlink.Route{LinkIndex: index, Dst: services, Scope: netlink.SCOPE_LINK, Src: net.IPv4(10, 244,
			255, 1)}))
}

func flipAndConnect(ctx context.Context, b *bench) (r follows, err error) {
	_, err = with(ctx, b, func(u *up) ([]row, error) {
		addr := u.addr(0)
		stop, err := answer(net.JoinHostPort(addr, fmt.Sprint(servicePort)))
		if err != nil {
			return nil, err
		}
		defer stop()
		clusterIP, err := u.makeService(ctx, "one", []string{addr})
		if err != nil {
			return nil, err
		}
		target := net.JoinHostPort(clusterIP, fmt.Sprint(servicePort))
		if _, err := untilReached(target, true); err != nil {
			return nil, err
		}
		return nil, u.flip(ctx, addr, target, b.times(400, 10), &r)
	})
	return r, err
}

// flip makes the Pod unready and ready in turn, n times in all.
func (u *up) flip(ctx context.Context, addr, target string, n int, r *follows) error {
	for i := range n {
		ready := i%2 == 1
		if err := u.setStatus(ctx, "one-0", addr, ready); err != nil {
			return err
		}
		took, err := untilReached(target, ready)
		if err != nil {
			return err
		}
		if ready {
			r.Reached = append(r.Reached, took)
		} else {
			r.Avoided = append(r.Avoided, took)
		}
	}
	return nil
}

// untilReached connects until a request is answered (or, without want, until one fails). It returns how long that took.
func untilReached(target string, want bool) (time.Duration, error) {
	from := time.Now()
	for time.Since(from) < awaitTimeout {
		if _, err := request(target); (err == nil) == want {
			return time.Since(from), nil
		}
		time.Sleep(resolution) // a busy loop would take processor time from the measured processes
	}
	return 0, fmt.Errorf("%s did not follow within %s", target, awaitTimeout)
}

// resolution is the pause between two tries. It is also the error of the measurement.
const resolution = 200 * time.Microsecond

// request makes one short connection. It sends seven bytes and reads sixteen.
func request(target string) (time.Duration, error) {
	from := time.Now()
	conn, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(from.Add(5 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(conn, "request"); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(conn, make([]byte, 16)); err != nil {
		return 0, err
	}
	return time.Since(from), nil
}

// answer serves the other end of request on addr until stop is called.
func answer(addr string) (stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go answerOne(conn)
			}
		}
	}()
	return func() { l.Close() }, nil
}

func answerOne(conn net.Conn) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 7)); err == nil {
		io.WriteString(conn, "sixteen bytes ok")
	}
}
